"""What `benchmarks.serving` compares foodscene with: the same model behind other servers, each as its makers advise."""
