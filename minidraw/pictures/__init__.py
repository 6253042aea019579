"""Pictures and arrays out of what a network draws, and anybody's photographs in."""
