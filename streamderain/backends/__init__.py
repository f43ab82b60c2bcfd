"""What runs a network: plain torch, CUDA graphs (of torch, of what it compiles, or of our own kernels), OpenVINO, ONNX
Runtime and, through it, TensorRT.
"""
