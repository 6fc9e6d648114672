"""From a graph to steps and buffers: what is computed, in which order, into which memory."""
