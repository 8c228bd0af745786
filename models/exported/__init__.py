"""A `model.onnx` that another program exported: what it is made of, what it costs, what it takes and answers with."""
