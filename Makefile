# What developers repeat. Thin: each target is one command that also works without make.
#
#   make             build for debugging, in build/debug
#   make help        say this
#   make test        ./test
#   make install     build for release and install: PREFIX=/usr/local, DESTDIR
#   make deb         build Debian packages, in build/deb
#   make bench       build for release, run the benchmarks one after another and show what they measured
#   make bench-http  build for release, measure the HTTP server beside Debian's nginx, some 15 minutes;
#                    ARGS='--only direct,start --rounds 3' measures less, bench/http/run.py --help says more
#   make bench-pool  build for release, measure steps in their pools beside Python's executors, some 6 minutes;
#                    ARGS='--only one,http --rounds 5' measures less, bench/pool/run.py --help says more
#   make bench-placement  build for release, measure where steps are placed beside what was forced, and batches, some 12 minutes;
#                    ARGS='--costs 10,10,10 --callers 8 --rounds 3' measures less, bench/pool/placement.py --help says more
#   make bench-mixed build for release, measure requests that wait and work, at the limit and beyond, some 25 minutes;
#                    ARGS=--quick only looks, ARGS='--only open,burst' measures less, bench/mixed/run.py --help says more
#   make sim         run the simulations; SEED=7 make sim replays one, SEEDS=1000 make sim tries that many
#   make fuzz        run every fuzz target; RUNS and SECONDS_EACH bound each
#   make format      format the C files
#   make tidy        check the rules of the tree
#   make lint        let clang-tidy look for mistakes
#   make nightly     what .ci/run does, in every build and for longer, some 90 minutes; RECORD=1 adds a line to doc/internals/nightly.md
#   make clean       remove build/

RELEASE = --buildtype=release -Db_lto=true -Dtests=false
PREFIX = /usr/local
ARGS =

all:
	@sh tools/setup test
	@sh tools/use-hooks
	@sh tools/build debug

help:
	@sed -n 's/^#   //p' Makefile

test:
	@sh ./test

install:
	@sh tools/install '$(PREFIX)' '$(DESTDIR)'

deb:
	@sh tools/deb

bench:
	@sh tools/setup build
	@sh tools/build release $(RELEASE)
	@meson test -C build/release --no-rebuild --benchmark --verbose --num-processes 1

bench-http:
	@sh tools/setup bench
	@sh tools/build release $(RELEASE)
	@sh tools/bench-http $(ARGS)

bench-pool:
	@sh tools/setup bench
	@sh tools/build release $(RELEASE)
	@sh tools/bench-pool $(ARGS)

bench-placement:
	@sh tools/setup bench
	@sh tools/build release $(RELEASE)
	@sh tools/bench-placement $(ARGS)

bench-mixed:
	@sh tools/setup bench
	@sh tools/build release $(RELEASE)
	@sh tools/bench-mixed $(ARGS)

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

nightly:
	@bash .ci/nightly

clean:
	rm -rf build

.PHONY: all help test install deb bench bench-http bench-pool bench-placement bench-mixed sim fuzz format tidy lint nightly clean
