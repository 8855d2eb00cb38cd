"""Run every benchmark."""

from benchmarks import classification, convex, drugs, joint_feature, school, speed

for benchmark in (speed, convex, joint_feature, classification, school, drugs):
    benchmark.main()
    print()
