"""SemanticNN (arXiv 2511.11038), and the same networks trained as its released code trains them."""

from __future__ import annotations

from semflash.codecs.registry import Family, register


def _semanticnn() -> Family:
    from semflash.codecs.semanticnn.codec import SemanticNN
    from semflash.codecs.semanticnn.sizes import SemanticNNSizes

    return Family(SemanticNN, SemanticNNSizes)


def _released() -> Family:
    from semflash.codecs.semanticnn.released import SemanticNNReleased, SemanticNNReleasedSizes

    return Family(SemanticNNReleased, SemanticNNReleasedSizes)


register("semanticnn", _semanticnn)
register("semanticnn-released", _released)
