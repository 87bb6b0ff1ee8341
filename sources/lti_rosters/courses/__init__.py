"""The catalogue as a person sees it: listed beside what is loaded, and added to."""
