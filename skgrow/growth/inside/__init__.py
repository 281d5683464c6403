"""Dense networks that get units and layers: exact operations; how, where and when."""
