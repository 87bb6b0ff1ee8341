"""The one door to platforms: addresses, links, and requests that are guarded, paced and repeated."""
