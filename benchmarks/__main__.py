"""Run every benchmark."""

from benchmarks import school, speed

speed.main()
print()
school.main()
