"""The live view of a monitor run: keys in, a screen out. Nothing here touches a port."""
