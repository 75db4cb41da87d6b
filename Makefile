# Everything is made below .venvs/ (the tools, and one virtual environment for
# each CPython of the machine) and .venv/ (an editable installation).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory --no-builtin-rules
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: FORCE
.PRECIOUS: .venvs/3.%/installed

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export GOTOOLCHAIN := local
export GOWORK := off
export CGO_ENABLED := 1
unexport GOROOT

TOOLS := .venvs/tools/bin
GO := .venvs/tools/go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

C_FILES = $(wildcard $(addsuffix /*.[ch],capi pybind tests/bench tests/clib tests/sanitize) tests/clib/*.cc)

# The C library. Programs that were linked to it look for it by the name with its ABI.
PREFIX = /usr/local
LIBDIR = $(PREFIX)/lib
INCLUDEDIR = $(PREFIX)/include
LIBRARY := .venvs/library/libgoprocessing.so.$(shell awk '$$2 == "GOP_ABI" { print $$3 }' capi/goprocessing.h)

# Go packages that may import unsafe and golang.org/x/sys/unix; shm alone maps memory.
UNSAFE := capi|core|core/internal/(arena|fault|futex|process|shm|socket|stream)

first = $$(head -n 1 .venvs/pythons | cut -d' ' -f1)
requirements = $(TOOLS)/python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*project["optional-dependencies"]["$(1)"], sep="\n")'
title = @printf '\n== %s\n'
# Makes $(1)-PART for each part in $(2), whether or not others fail, and sums up.
each = +@summary= failed=0; \
	for part in $(2); do \
		SECONDS=0; result=passed; \
		$(MAKE) $(1)-$$part || { result=FAILED; failed=1; }; \
		summary+=$$(printf '%-8s make $(1)-%-10s %4d s' $$result $$part $$SECONDS)$$'\n'; \
	done; \
	printf '\n== Summary\n%s' "$$summary"; exit $$failed

# Tells the lines of recipes apart that run side by side.
prefix = $(if $(LABELS),2>&1 | sed -u 's/^/$(1): /')

.PHONY: help
help: ## List the targets
	@echo "Usage: make TARGET [PYTHONS='python...']"
	@awk -F ': .*## ' '/^[a-z-]+:.* ## / { printf "  %-19s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: .venvs/pythons ## Set up everything and run the main job: a parallel word count
	@$(MAKE) .venvs/$(first)/installed
	$(title) 'python -m goprocessing.examples.wordcount'
	@.venvs/$(first)/bin/python -P -m goprocessing.examples.wordcount

.PHONY: demo-go
demo-go: .venvs/pythons $(GO) ## Hash the same files with workers in Python and in Go, which find a queue by its name
	@$(MAKE) .venvs/$(first)/installed
	@$(GO) build -buildvcs=false -o .venvs/hash ./core/examples/hash
	$(title) 'python -m goprocessing.examples.hashing'
	@.venvs/$(first)/bin/python -P -m goprocessing.examples.hashing --go .venvs/hash

.PHONY: test
test: .venvs/pythons ## Set up everything and run all tests: Go, then each CPython >= 3.11
	+@$(MAKE) --jobs=2 --keep-going LABELS=1 test-go $$(sed 's/^\([^ ]*\).*/test-\1/' .venvs/pythons)

.PHONY: test-quick
test-quick: .venvs/pythons $(GO) ## Run the quick tests: Go without -race, one CPython
	$(GO) test -short ./core/... ./capi/...
	@$(MAKE) test-$(first) PYTEST_ARGS="-m 'not slow' $(PYTEST_ARGS)"

.PHONY: test-go
test-go: $(GO)
	$(title) 'go vet, go test -race'
	$(GO) vet ./...
	$(GO) test -race -timeout 20m ./core/... ./capi/... $(call prefix,go)
	$(GO) test -tags crash -run 'Crash|KilledAtEachPoint|KilledAtWorkWithLedger' -parallel 4 \
		./core ./core/internal/stream $(call prefix,go)

# Two of three deaths are at random instants: not each process comes by the point at
# which it is to die. SEED replays where they die, and after how many passes.
.PHONY: crash
crash: $(GO) ## Kill processes at every critical point, 10,000 for each primitive (an hour; KILLS=50 SEED=n)
	$(title) 'go test -tags crash'
	GOPROCESSING_TEST_KILLS=$(or $(KILLS),10000) $(if $(SEED),GOPROCESSING_TEST_SEED=$(SEED)) \
		$(GO) test -tags crash -run '^TestCrash$$' -parallel 8 -timeout 24h -v ./core

# go test fuzzes one target at a time; the seeds run in every test.
.PHONY: fuzz
fuzz: $(GO) ## Fuzz every parser of what is in shared memory (FUZZTIME=1m each)
	@grep -ro --include='*fuzz_test.go' 'func Fuzz[A-Za-z]*' core | while IFS=: read -r file target; do \
		printf '\n== %s\n' "$$file $${target#func }"; \
		$(GO) test "./$${file%/*}" -run '^$$' -fuzz "^$${target#func }$$" \
			-fuzztime $(or $(FUZZTIME),1m) -fuzzminimizetime 5s < /dev/null; \
	done

.PHONY: limits
limits: .venvs/pythons ## Go to the limits: 4 GiB items, 10,000 queues, 1,000 processes and the like
	@GOPROCESSING_LIMITS=1 GOPROCESSING_RUBBISH_ROUNDS=200 \
		$(MAKE) test-$(first) PYTEST_ARGS="tests/test_limits.py tests/test_hostile.py $(PYTEST_ARGS)"

# --foreground lets Ctrl-C through, but leaves the children of a hung run alone.
test-3.%: .venvs/3.%/installed $(LIBRARY)
	$(title) 'CPython 3.$*: pytest'
	@timeout $(if $(CI),,--foreground) --kill-after=30 60m .venvs/3.$*/bin/python -P -m pytest $(PYTEST_ARGS) $(call prefix,3.$*)

# The interpreter is not built with the sanitizers, so their runtimes come first. Fatal
# signals are for Go and for faulthandler to handle; too large an allocation is a
# MemoryError; CPython does not free everything at exit. Of what was freed ASan holds
# little back, for tests look whether the process grows. The standard library takes
# minutes for 100 MiB.
ASAN := detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:allocator_may_return_null=1
ASAN := $(ASAN):quarantine_size_mb=1:thread_local_quarantine_size_kb=64
.PHONY: test-sanitize
test-sanitize: .venvs/sanitize/installed $(LIBRARY) ## Run the Python tests with ASan and UBSan in the extension (an hour)
	$(title) 'ASan, UBSan: pytest'
	@LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=$(ASAN) UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
		PYTHONMALLOC=malloc .venvs/sanitize/bin/python -P -m pytest \
		-k 'not stdlib and not 100m-multiprocessing' $(PYTEST_ARGS)

.PHONY: crash-python
crash-python: .venvs/pythons ## Kill Python processes, and fork busy ones (CRASH_ARGS='--kills N NAME...' FORKS=N)
	@$(MAKE) .venvs/$(first)/installed
	$(title) 'python -m tests.crash'
	@.venvs/$(first)/bin/python -m tests.crash $(CRASH_ARGS)
	$(title) 'pytest tests/test_fork_under_fire.py'
	@GOPROCESSING_TEST_FORKS=$(or $(FORKS),10000) \
		.venvs/$(first)/bin/python -P -m pytest tests/test_fork_under_fire.py

.PHONY: leaks
leaks: .venvs/pythons ## Use each public name for a minute, and see whether the process grows (an hour; SECONDS=N)
	@$(MAKE) .venvs/$(first)/installed
	$(title) 'pytest tests/test_leaks.py'
	@GOPROCESSING_TEST_LEAKS_SECONDS=$(or $(SECONDS),60) \
		.venvs/$(first)/bin/python -P -m pytest tests/test_leaks.py $(PYTEST_ARGS)

# The header's inline functions, also as C++.
THREADS := tests/sanitize/threads.c
.PHONY: tsan
tsan: ## Run the C header's inline functions in several threads under TSan, ASan and UBSan
	$(title) 'TSan, ASan, UBSan: $(THREADS)'
	@mkdir -p .venvs/threads
	@warnings='-Wall -Wextra -Wpedantic -Werror -g -O1 -pthread -I capi'; \
	gcc -std=gnu11 $$warnings -fsanitize=thread $(THREADS) -o .venvs/threads/tsan; \
	gcc -std=gnu11 $$warnings -fsanitize=address,undefined $(THREADS) -o .venvs/threads/asan; \
	g++ -std=gnu++17 $$warnings -fsanitize=thread -x c++ $(THREADS) -o .venvs/threads/tsan++; \
	for program in tsan asan tsan++; do \
		UBSAN_OPTIONS=halt_on_error=1 timeout 5m .venvs/threads/$$program $(ROUNDS); \
	done

.PHONY: model
model: .venvs/pythons ## Check the models of the engine's protocols with spin (MODEL_ARGS='--long NAME...')
	$(title) 'python -m tests.models'
	@command -v spin > /dev/null || { [[ $$EUID == 0 ]] && apt-get update -q && apt-get install -qy spin; } || \
		{ echo "There is no spin on PATH: install Debian's package spin, or see https://spinroot.com."; exit 1; }
	@read -r _ python < .venvs/pythons; timeout --foreground 60m "$$python" -m tests.models $(MODEL_ARGS)

.PHONY: cpython-suite
cpython-suite: .venvs/pythons ## Run CPython's own tests on each CPython >= 3.11, beside the standard library
	$(call each,cpython-suite,$$(cut -d' ' -f1 .venvs/pythons))

.PHONY: cpython-suite-quick
cpython-suite-quick: .venvs/pythons ## Run a part of them that takes a few minutes, on one CPython
	@$(MAKE) cpython-suite-$(first) SUITE_ARGS="--quick $(SUITE_ARGS)"

cpython-suite-3.%: .venvs/3.%/installed
	$(title) 'CPython 3.$*: python -m tests.cpython'
	@timeout $(if $(CI),,--foreground) --kill-after=30 45m .venvs/3.$*/bin/python -m tests.cpython $(SUITE_ARGS)

.PHONY: bench
bench: .venvs/pythons $(GO) ## Measure against the standard library and others (15 min; BENCH_ARGS='--quick NAME...')
	@$(MAKE) .venvs/$(first)/bench
	$(title) 'python -m tests.bench'
	@GO=$(CURDIR)/$(GO) .venvs/$(first)/bin/python -m tests.bench $(BENCH_ARGS)

.PHONY: bench-check
bench-check: ## Compare the ratios with those in tests/bench/results.json
	@$(MAKE) bench BENCH_ARGS="--check $(BENCH_ARGS)"

.PHONY: programs
programs: .venvs/pythons ## Run other packages' tests, plain and with goprocessing (an hour; NAMES='name...')
	@$(MAKE) .venvs/$(first)/installed
	$(title) 'python -m tests.programs'
	@rm -rf build
	@.venvs/$(first)/bin/python -m tests.programs $(NAMES)

.PHONY: lint
lint: lint-python lint-c lint-go ## Run the linters and type checkers

.PHONY: lint-python
lint-python: .venvs/tools/linters
	$(title) 'ruff, mypy, pyright'
	$(TOOLS)/ruff check .
	$(TOOLS)/ruff format --check .
	$(TOOLS)/mypy
	$(TOOLS)/pyright

.PHONY: lint-c
lint-c: .venvs/tools/linters
	$(title) 'clang-format'
	$(TOOLS)/clang-format --dry-run -Werror $(C_FILES)

.PHONY: lint-go
lint-go: $(GO)
	$(title) 'gofmt, go vet, staticcheck'
	@unformatted=$$($$($(GO) env GOROOT)/bin/gofmt -l core capi pybind tests); \
	[[ -z $$unformatted ]] || { echo "gofmt would change: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags crash ./core/...
	CGO_ENABLED=0 $(GO) build ./core/...
	GOARCH=arm64 CGO_ENABLED=0 $(GO) vet ./core/...
	$(GO) run $(STATICCHECK) ./...
	$(GO) run $(STATICCHECK) -tags crash ./core/...
	@! grep -rnE --include='*.go' --exclude='*_test.go' --exclude-dir=shm 'unix\.(Mmap|Munmap|Mremap|MemfdCreate|Ftruncate)' core capi
	@! $(GO) list -f '{{$$p := .ImportPath}}{{range .Imports}}{{$$p}} imports {{.}}{{"\n"}}{{end}}' ./... \
		| grep -E ' imports (unsafe|golang.org/x/sys/unix)$$' | grep -vE '^[^ ]*goprocessing/($(UNSAFE)) ' \
		| sed 's/$$/, but is not in UNSAFE (Makefile)/'
	@! $(GO) list -deps -f '{{if not .Standard}}{{.ImportPath}}{{end}}' ./core ./core/inspect \
		| grep -vE '^(golang.org/x/sys|github.com/goprocessing/goprocessing/core)(/|$$)' \
		| sed 's/$$/ is not for core to import: codecs that need it have packages of their own/'

.PHONY: vulnerabilities
vulnerabilities: $(GO) ## Look for known vulnerabilities in Go code that is called (VULNDB=https://vuln.go.dev)
	$(title) 'govulncheck'
	$(GO) run $(GOVULNCHECK) $(if $(VULNDB),-db $(VULNDB)) ./...

.PHONY: format
format: .venvs/tools/linters $(GO) ## Format the sources of all languages
	$$($(GO) env GOROOT)/bin/gofmt -w core capi pybind tests
	$(TOOLS)/clang-format -i $(C_FILES)
	$(TOOLS)/ruff check --fix .
	$(TOOLS)/ruff format .

.PHONY: build
build: .venvs/pythons ## Make .venv, an editable installation for developers
	@read -r _ python < .venvs/pythons; [[ -x .venv/bin/python ]] || "$$python" -m venv .venv
	.venv/bin/pip install -q -e '.[test,examples]'

.PHONY: dist
dist: $(TOOLS)/python ## Make a source distribution, and a wheel from it, in dist/
	$(title) 'python -m build'
	@rm -rf build dist
	$(TOOLS)/python -m pip install -q build
	$(TOOLS)/python -m build

.PHONY: install
install: $(LIBRARY) ## Install the C library (PREFIX=/usr/local; LIBDIR, INCLUDEDIR, DESTDIR)
	@install -d '$(DESTDIR)$(LIBDIR)/pkgconfig' '$(DESTDIR)$(INCLUDEDIR)'
	install -m 755 $(LIBRARY) '$(DESTDIR)$(LIBDIR)'
	@ln -sfn $(notdir $(LIBRARY)) '$(DESTDIR)$(LIBDIR)/libgoprocessing.so'
	install -m 644 capi/goprocessing.h '$(DESTDIR)$(INCLUDEDIR)'
	@version=$$(sed -n 's/^__version__ = "\(.*\)"$$/\1/p' python/goprocessing/_version.py); \
	sed "s|@VERSION@|$$version|; s|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|" \
		capi/goprocessing.pc.in > '$(DESTDIR)$(LIBDIR)/pkgconfig/goprocessing.pc'

.PHONY: clean
clean: ## Remove everything that was made
	rm -rf build dist .venv .venvs .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf python/*.egg-info python/goprocessing/*.so python/goprocessing/include
	find python tests -name __pycache__ -exec rm -rf {} +

# The interpreters, as lines "version path".
.venvs/pythons: FORCE
	@mkdir -p .venvs; found=$$(.ci/pythons); \
	[[ $$found == "$$(cat $@ 2>/dev/null)" ]] || echo "$$found" > $@

# What an installation depends on; changes only with the contents.
.venvs/sources: FORCE
	@mkdir -p .venvs; sums=$$(find setup.py pyproject.toml README.md LICENSE go.mod go.sum core capi pybind python \
		-type f ! -name '*_test.go' ! -name '*.so' ! -name '*.pyc' ! -path '*.egg-info/*' ! -path '*/include/*' \
		| sort | xargs sha256sum); \
	[[ $$sums == "$$(cat $@ 2>/dev/null)" ]] || echo "$$sums" > $@

# A stale build directory would bring modules back that are gone.
.venvs/3.%/installed: .venvs/sources | .venvs/pythons
	$(title) 'CPython 3.$*: pip install .'
	@python=$$(awk '$$1 == "3.$*" { print $$2 }' .venvs/pythons); \
	[[ $$python ]] || { echo "There is no usable CPython 3.$* here; see .venvs/pythons."; exit 1; }; \
	$(@D)/bin/python -c '' 2>/dev/null || "$$python" -m venv --clear $(@D)
	@flock .venvs/pythons bash -c "rm -rf build; CFLAGS=-Werror $(@D)/bin/pip install -q '.[test,examples]'"
	@touch $@

$(LIBRARY): .venvs/sources | $(GO)
	$(title) 'the C library'
	@mkdir -p $(@D)
	@flock $(@D) $(TOOLS)/python -c 'import setup; setup.build_library("$(GO)", "$@", "-soname=$(@F)")'

.venvs/3.%/bench: .venvs/3.%/installed pyproject.toml
	@$(call requirements,bench) | xargs $(@D)/bin/pip install -q
	@touch $@

.venvs/sanitize/installed: .venvs/sources | .venvs/pythons
	$(title) 'ASan, UBSan: pip install .'
	@read -r _ python < .venvs/pythons; [[ -x $(@D)/bin/python ]] || "$$python" -m venv $(@D)
	@rm -rf build
	SANITIZE=address,undefined CFLAGS=-Werror $(@D)/bin/pip install -q '.[test]'
	@touch $@

$(TOOLS)/python: | .venvs/pythons
	$(title) 'tools'
	@read -r _ python < .venvs/pythons; "$$python" -m venv --clear .venvs/tools
	$@ -m pip install -q setuptools

# Go is chosen as setup.py does it.
$(GO): $(TOOLS)/python FORCE
	@$(TOOLS)/python -c 'import setup; print(*setup.go_requirement())' | xargs -r $(TOOLS)/pip install -q
	@ln -sfn "$$($(TOOLS)/python -c 'import setup; print(setup.find_go())')" $@

.venvs/tools/linters: pyproject.toml $(TOOLS)/python
	@$(call requirements,lint) | xargs $(TOOLS)/pip install -q
	@touch $@
