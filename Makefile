# What developers repeat. Thin: each target is one command that also works without make.
#
#   make          build for debugging, in build/debug
#   make test     ./test
#   make bench    build for release, run the benchmarks one after another and show what they measured
#   make sim      run the simulations; SEED=7 make sim replays one, SEEDS=1000 make sim tries that many
#   make fuzz     run every fuzz target; RUNS and SECONDS_EACH bound each
#   make format   format the C files
#   make tidy     check the rules of the house
#   make lint     let clang-tidy look for mistakes
#   make clean    remove build/

RELEASE = --buildtype=release -Db_lto=true -Dtests=false

all:
	@sh tools/setup test
	@sh tools/build debug

test:
	@sh ./test

bench:
	@sh tools/setup build
	@sh tools/build release $(RELEASE)
	@meson test -C build/release --no-rebuild --benchmark --verbose --num-processes 1

sim: all
	@meson test -C build/debug --no-rebuild --suite sim --verbose --num-processes 1 -t 0

fuzz:
	@sh tools/setup clang
	@sh tools/fuzz

format:
	@sh tools/setup clang
	@sh tools/format

tidy:
	@sh tools/setup test
	@tools/tidy

lint:
	@sh tools/setup clang
	@sh tools/lint

clean:
	rm -rf build

.PHONY: all test bench sim fuzz format tidy lint clean
