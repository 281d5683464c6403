"""Around every call: threads, workers, deadlines, warnings, surroundings of a verb."""
