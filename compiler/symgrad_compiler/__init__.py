"""From a graph to a program: differentiate, rewrite, plan, generate.

autodiff/   graphs of derivatives            rewrite/    patterns, rules, the engine that applies them
passes/     Graph -> Graph, one a file       plan/       liveness and buffers
backends/   Graph -> Program                 driver      the way through all of it
"""
