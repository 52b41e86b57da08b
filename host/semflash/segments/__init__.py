"""The segment knowledge base: segmenters, their stored answers, and which segments matter."""
