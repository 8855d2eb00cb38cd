"""Run every benchmark."""

from benchmarks import convex, joint_feature, school, speed

for benchmark in (speed, convex, joint_feature, school):
    benchmark.main()
    print()
