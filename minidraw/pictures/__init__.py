"""Pictures out of what a network draws, for the eye alone, and anybody's photographs in."""
