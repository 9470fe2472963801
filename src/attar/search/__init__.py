"""The search for a student: what is tried, who proposes it, and what came of it."""
