"""The features of a photo: what a network's last dense layer decides by."""

from foodscene.models.graph.graph import Graph, Node


def features_of(graph: Graph) -> Node | None:
    """What enters the last dense layer, of shape (None, features); None where a graph has no such layer."""
    for node in reversed(graph.nodes):
        if node.layer.kind == "Dense" and len(graph.shapes[node]) == 2:
            return node.sources[0]
    return None
