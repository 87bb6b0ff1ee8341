"""The demo's courses, and how each of its platforms speaks of roles."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from ..reference.platform import CANVAS, MOODLE, SAKAI, Manner

Part = Literal["learner", "teacher", "assistant", "both", "observer", "designer", "admin", "test"]

CONTEXT = "http://purl.imsglobal.org/vocab/lis/v2/membership"
INSTITUTION = "http://purl.imsglobal.org/vocab/lis/v2/institution/person"
LEARNER, INSTRUCTOR = f"{CONTEXT}#Learner", f"{CONTEXT}#Instructor"

# How each platform tells what somebody does in a course. Moodle has no word for assistants or observers.
ROLES: Mapping[str, Mapping[Part, tuple[str, ...]]] = {
    "canvas": {
        "learner": (LEARNER,),
        "teacher": (INSTRUCTOR,),
        "assistant": (f"{CONTEXT}/Instructor#TeachingAssistant", INSTRUCTOR),
        "both": (LEARNER, INSTRUCTOR),
        "observer": (f"{CONTEXT}#Mentor",),
        "designer": (f"{CONTEXT}#ContentDeveloper",),
        "test": (LEARNER, "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"),
    },
    "moodle": {
        "learner": ("Learner",),
        "teacher": ("Instructor",),
        "admin": ("Instructor", "http://purl.imsglobal.org/vocab/lis/v2/person#Administrator"),
    },
    "sakai": {
        "learner": ("Learner", LEARNER, LEARNER, f"{INSTITUTION}#Student"),
        "teacher": ("Instructor", INSTRUCTOR, INSTRUCTOR, f"{INSTITUTION}#Faculty"),
        "assistant": (f"{CONTEXT}/Instructor#TeachingAssistant", "Instructor", INSTRUCTOR),
    },
}

# Code, title and size of every course. A size of 50 fills a page of Canvas exactly.
COURSES: Mapping[str, tuple[tuple[str, str, int], ...]] = {
    "canvas": (
        ("BIO-101", "Introduction to Biology", 240),
        ("PSY-100", "How People Think", 140),
        ("STAT-201", "Statistics & Data", 110),
        ("HIST-120", "Histoire de la Méditerranée", 95),
        ("ECON-150", "Microeconomics", 80),
        ("LAW-210", "Contract Law", 70),
        ("PHYS-115", "Mechanics and Waves", 60),
        ("GEO-130", "Maps, Rivers, Cities", 52),
        ("MUS-105", "Harmony I", 50),
        ("PHIL-220", "Λογική και Ηθική", 45),
        ("NURS-300", "Clinical Practice", 30),
        ("CS-480", "Seminar: Compilers", 18),
    ),
    "moodle": (
        ("MATE-1", "Cálculo I", 160),
        ("INF-2", "Programmieren für Anfänger", 90),
        ("LING-3", "Введение в лингвистику", 75),
        ("LIT-4", "日本文学入門", 60),
        ("ALG-5", "الجبر الخطي", 50),
        ("SOC-6", "Sociología urbana", 45),
        ("AGR-7", "Suelos y cultivos", 40),
        ("PED-8", "Didaktik", 30),
        ("ART-90", "Printmaking Workshop", 20),
        ("NEW-10", "Opens Next Term", 0),
    ),
    "sakai": (
        ("CHEM-110", "General Chemistry", 120),
        ("ENG-201", "Academic Writing", 80),
        ("MATH-140", "Linear Algebra", 70),
        ("ANTH-105", "Peoples and Places", 60),
        ("ASTR-101", "The Night Sky", 45),
        ("REL-160", "धर्म और समाज", 40),
        ("FILM-230", "한국 영화", 20),
        ("LAT-100", "Latin for the Curious", 10),
    ),
}
MANNERS: Mapping[str, Manner] = {
    "canvas": CANVAS,
    "moodle": MOODLE,
    # A site property makes Sakai page by itself; otherwise it sends a roster whole.
    "sakai": replace(SAKAI, page_size=50),
}
FAILING = ("sakai", "CHEM-110")
EMPTIED = ("moodle", "ART-90")
