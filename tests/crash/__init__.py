"""Kills the server and its monitors at random moments for as long as it is told to, and looks what is amiss then."""
