# swiftlet
#
#	make run            a whole store on loopback; PORT=8080 DATA=./var choose where
#	make check          every test; make check-quick is the short loop (under three minutes)
#	make                builds ./swiftlet
#	make install        DESTDIR= PREFIX=/usr/local
#	make bench          beside Debian's Swift; make bench-limits beside what the parts give
#	make lint fuzz crash           see below
#
# SANITIZER=address or SANITIZER=thread builds in a directory of its own, with gcc's sanitizers.

SHELL := /bin/bash
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
PORT ?= 8080
DATA ?= ./var
SANITIZER ?=
CC := gcc
PYTHON ?= /usr/bin/python3
comma := ,

build := build/$(if $(SANITIZER),$(SANITIZER),plain)

warnings := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wformat=2 -Wundef \
	-Wpointer-arith
base_flags := -std=gnu11 $(warnings) -D_GNU_SOURCE -I. -pthread -fno-omit-frame-pointer -g
ifeq ($(SANITIZER),)
flags := $(base_flags) -O2 -Wframe-larger-than=4096 $(CFLAGS)
else
# gcc's sanitizers make it see truncations that cannot happen
flags := $(base_flags) -O1 -Wno-format-truncation -DSWIFTLET_SANITIZER_$(SANITIZER)=1 \
	-fsanitize=$(SANITIZER)$(if $(filter address,$(SANITIZER)),$(comma)undefined) $(CFLAGS)
endif
libraries := -lrocksdb -levent_core -lssl -lcrypto -lxxhash -ljansson -linih -larchive -lz -lboost_context -lresolv -lseccomp \
	-lpthread -lm

folders := lib/base lib/swift lib/co lib/http lib/store lib/backend ring object container account proxy proxy/auth proxy/filters proxy/daemons tools
sources := $(sort $(foreach f,$(folders),$(wildcard $(f)/*.c)))
objects := $(sources:%.c=$(build)/%.o)
library := $(build)/libswiftlet.a
unit_tests := $(patsubst %.c,$(build)/%,$(wildcard tests/unit/test_*.c))
fuzz_targets := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: all
all: swiftlet

swiftlet: $(build)/swiftlet
	@cp -f $< $@

$(build)/swiftlet: $(build)/tools/main.o $(library)
	@echo '  LD $@'
	@$(CC) $(flags) $(LDFLAGS) -o $@ $^ $(libraries)

$(library): $(filter-out $(build)/tools/main.o,$(objects))
	@rm -f $@
	@ar rcs $@ $^

$(build)/%.o: %.c
	@mkdir -p $(@D)
	@echo '  CC $@'
	@$(CC) $(flags) -MMD -MP -c -o $@ $<

$(build)/tests/%: tests/%.c $(library)
	@mkdir -p $(@D)
	@echo '  LD $@'
	@$(CC) $(flags) -Wno-frame-larger-than -MMD -MP $(LDFLAGS) -o $@ $< $(library) -lcmocka $(libraries)

# Linked with nothing of ours: what they measure must not change them.
$(build)/tests/bench/load $(build)/tests/bench/parts: $(build)/tests/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	@echo '  LD $@'
	@$(CC) $(flags) -Wno-frame-larger-than -o $@ $< $(if $(filter parts,$*),-lrocksdb -lcrypto -lxxhash)

# ---- running and installing ----

.PHONY: run
run:
	@tools/install-dependencies build
	@$(MAKE) --no-print-directory -j$$(nproc) swiftlet
	@exec tools/run --port $(PORT) --data $(DATA)

.PHONY: install
install: swiftlet
	install -D -m 0755 swiftlet $(DESTDIR)$(PREFIX)/bin/swiftlet
	install -D -m 0644 etc/swiftlet.conf $(DESTDIR)$(SYSCONFDIR)/swiftlet/swiftlet.conf.sample
	install -d $(DESTDIR)$(PREFIX)/share/doc/swiftlet
	install -m 0644 README.md docs/*.md $(DESTDIR)$(PREFIX)/share/doc/swiftlet
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	for unit in etc/systemd/*.service; do \
		sed 's|/usr/local|$(PREFIX)|g' $$unit > $(DESTDIR)$(PREFIX)/lib/systemd/system/$$(basename $$unit); \
	done
	install -D -m 0644 etc/sysusers.d/swiftlet.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/swiftlet.conf

# What is printed from lib/base/options.def; tests/unit/test_config.c fails when it is not the newest.
.PHONY: config-docs
config-docs: swiftlet
	./swiftlet config sample > etc/swiftlet.conf
	grep -q '^## Options' docs/configuration.md && grep -q '^## Users' docs/configuration.md
	./swiftlet config markdown > build/options.md
	sed -i -e '/^### \[swiftlet\]/,/^## /{/^## /!d}' -e '/^## Options/{n;r build/options.md' -e '}' docs/configuration.md

# ---- tests ----

.PHONY: unit
unit: $(unit_tests)

.PHONY: fuzz-targets
fuzz-targets: $(fuzz_targets)

build/fuzz/%: tests/fuzz/%.c $(wildcard $(foreach f,lib/* ring object proxy proxy/auth,$(f)/*.c $(f)/*.h))
	@tools/build-fuzz $< $@

.PHONY: check
check:
	@tools/install-dependencies build test
	@$(PYTHON) tests/check

.PHONY: check-quick
check-quick:
	@tools/install-dependencies build test
	@$(PYTHON) tests/check --quick

.PHONY: lint
lint:
	@tools/lint

# Long runs, not part of `make check`: FUZZ_SECONDS for each target; ROUNDS of kill -9 under load.
FUZZ_SECONDS ?= 600
.PHONY: fuzz
fuzz: fuzz-targets
	@tools/install-dependencies test
	@$(PYTHON) tests/check --only fuzz --fuzz-seconds $(FUZZ_SECONDS)

.PHONY: fuzz-short
fuzz-short: FUZZ_SECONDS := 60
fuzz-short: fuzz

ROUNDS ?= 200
.PHONY: crash
crash: swiftlet
	ROUNDS=$(ROUNDS) $(PYTHON) -m pytest -q -p no:cacheprovider tests/cluster/test_crash.py

# What grows with the data and what must not, up to N rows and objects of 100 bytes (1e7: ten minutes, 3 GB in SCALE_DIR).
N ?= 1e6
SCALE_DIR ?= /var/tmp/swiftlet-scale
.PHONY: bench-scale
bench-scale: $(build)/tests/bench/bench_scale
	@$< rows $(SCALE_DIR) $(N) && $< objects $(SCALE_DIR) $(N) 100 && $< deleted $(SCALE_DIR) $(N) && \
		$< emptied $(SCALE_DIR) 2e5 4096

# Beside Debian's Swift, and beside what the parts give, on a disk (/var/tmp) and on tmpfs (/dev/shm), or only below
# BENCH_DIR; BENCH='--rows "PUT*" --only swiftlet' and more: tests/bench/bench --help.
BENCH_DIR ?=
bench_options = $(if $(BENCH_DIR),--dir $(BENCH_DIR)) $(BENCH)
bench_programs := $(build)/tests/bench/load $(build)/tests/bench/parts

.PHONY: bench-programs
bench-programs:
	@tools/install-dependencies build bench
	@$(MAKE) --no-print-directory -j$$(nproc) swiftlet $(bench_programs)

.PHONY: bench
bench: bench-programs
	@$(PYTHON) tests/bench/bench $(bench_options)

.PHONY: bench-limits
bench-limits: bench-programs
	@$(PYTHON) tests/bench/bench_limits $(bench_options)

# Both, and README's section "Measured speed" from them.
.PHONY: bench-readme
bench-readme: bench-programs
	@$(PYTHON) tests/bench/bench
	@$(PYTHON) tests/bench/bench_limits
	@$(PYTHON) tests/bench/bench --report --readme

.PHONY: clean
clean:
	rm -rf build swiftlet

-include $(objects:.o=.d) $(unit_tests:=.d)
