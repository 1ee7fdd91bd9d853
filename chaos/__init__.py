"""Chaos: the platform's real processes under load, while everything around them is killed, frozen and cut off."""
