"""What runs a network: plain torch, CUDA graphs, OpenVINO, ONNX Runtime and, through it, TensorRT."""
