"""Run every benchmark."""

from benchmarks import classification, convex, drugs, joint_feature, lasso, network, network_speed, school, speed

for benchmark in (speed, convex, joint_feature, lasso, network_speed, classification, school, drugs, network):
    benchmark.main()
    print()
