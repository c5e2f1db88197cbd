"""Many devices that speak at once, to find out how many this machine bears."""
