"""The codes of an image on the link: fragments, their prefix and pilots, and whose codes they are."""
