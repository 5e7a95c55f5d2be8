# swiftlet: `make run` starts a whole store on loopback, `make check` runs every test.
# Variables: SANITIZER=address|thread (own build directory), DEBUG=1, PORT=, DATA=, DESTDIR=, PREFIX=.

SHELL := /bin/bash
comma := ,
PREFIX ?= /usr/local
SANITIZER ?=
CC := gcc
PYTHON ?= /usr/bin/python3

variant := $(if $(SANITIZER),$(SANITIZER),plain)
build := build/$(variant)

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wformat=2 \
	-Wundef -Wpointer-arith -Wframe-larger-than=4096
CFLAGS ?= -O2 -g
override CFLAGS += -std=gnu11 $(WARNINGS) -D_GNU_SOURCE -I. -I/usr/share/include/llhttp -fno-omit-frame-pointer -pthread
LDLIBS := -lrocksdb -levent_core -levent_pthreads -lisal -lssl -lcrypto -lxxhash -ljansson -linih -lz \
	-lboost_context -lpthread -lm
ifneq ($(SANITIZER),)
CFLAGS := $(filter-out -O2,$(CFLAGS)) -O1 -fsanitize=$(SANITIZER)$(if $(filter address,$(SANITIZER)),$(comma)undefined) \
	-Wno-frame-larger-than -DSWIFTLET_SANITIZER_$(SANITIZER)=1
LDFLAGS += -fsanitize=$(SANITIZER)$(if $(filter address,$(SANITIZER)),$(comma)undefined)
endif


folders := lib/base lib/swift lib/co lib/http lib/store lib/backend ring object container account proxy tools
sources := $(sort $(foreach f,$(folders),$(wildcard $(f)/*.c)))
objects := $(sources:%.c=$(build)/%.o) $(build)/llhttp/llhttp.o $(build)/llhttp/api.o $(build)/llhttp/http.o
library := $(build)/libswiftlet.a
unit_tests := $(patsubst tests/unit/%.c,$(build)/tests/unit/%,$(wildcard tests/unit/test_*.c))

.PHONY: all
all: swiftlet

swiftlet: $(build)/swiftlet
	@cp -f $< $@

$(build)/swiftlet: $(build)/tools/main.o $(library)
	@echo '  LD $@'
	@$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(library): $(filter-out $(build)/tools/main.o,$(objects))
	@rm -f $@
	@ar rcs $@ $^

$(build)/%.o: %.c
	@mkdir -p $(@D)
	@echo '  CC $@'
	@$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

# llhttp as Debian ships it: the grammar of HTTP/1.1, compiled in its strict mode.
$(build)/llhttp/%.o: /usr/share/llhttp/%.c
	@mkdir -p $(@D)
	@echo '  CC $@'
	@$(CC) $(filter-out -W%,$(CFLAGS)) -w -DLLHTTP_STRICT_MODE=1 -c -o $@ $<

$(build)/tests/unit/%: tests/unit/%.c $(library)
	@mkdir -p $(@D)
	@echo '  LD $@'
	@$(CC) $(CFLAGS) -Wno-frame-larger-than -MMD -MP $(LDFLAGS) -o $@ $< $(library) -lcmocka $(LDLIBS)

.PHONY: unit
unit: $(unit_tests)

-include $(objects:.o=.d) $(unit_tests:=.d)
