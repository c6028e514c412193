PREFIX = /usr/local
DESTDIR =
CARGO = cargo
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
BINARIES = dotenv-run dotenv-seal
PAGES = dotenv-run.1 dotenv-run-recipes.7 dotenv-seal.1
MANUALS = $(foreach page,$(PAGES),$(PREFIX)/share/man/man$(subst .,,$(suffix $(page)))/$(page))
BUILT = target/release
BASH_COMPLETIONS = $(PREFIX)/share/bash-completion/completions
ZSH_COMPLETIONS = $(PREFIX)/share/zsh/site-functions
FISH_COMPLETIONS = $(PREFIX)/share/fish/vendor_completions.d

.PHONY: build demo test tested readers test-nss soak check static bench fuzz install uninstall clean

build:
	$(CARGO) build --release

# The main job on a sealed tree made on the spot: no account, no network.
demo: build
	tests/demo target/release

# Every test of every claim. TEST_TIMES=40 lists the 40 that took longest. Installs what the tests use where that
# is possible; what is missing all the same is skipped by name.
test:
	tests/tools strace mandoc dash bash node:nodejs npm python3 pip3:python3-pip \
		zsh fish /usr/share/bash-completion/bash_completion:bash-completion runc \
		busybox:busybox-static systemctl:systemd nginx make less vim \
		ksh93:ksh93u+m mksh yash posh git perl ruby lua:lua5.4 php:php-cli \
		dockerd:docker.io kubectl:kubernetes-client tclsh:tcl ssh-keygen:openssh-client sshd:openssh-server rsync gpg man:man-db groff zip curl wget
	+$(MAKE) --jobs=3 static tested readers
	$(CARGO) test

# What the tests need beside the programs: the tests themselves, and who reads our output back.
tested:
	$(CARGO) test --no-run

readers:
	tests/readers/install target/readers

# The same tests, where what may go wrong at any moment is tried many times more. Takes long.
soak: export SOAK = 1
soak: test

# The static build in Debian 13 and 11 with modules for host names: needs root and a mirror of Debian.
test-nss: static
	tests/tools debootstrap python3
	tests/nss target/nss

check:
	tests/tools mandoc
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' \
		$(CARGO) doc --no-deps --document-private-items
	$(CARGO) test --test structure
	mandoc -T lint -W style $(PAGES:%=man/%)

# A static-pie binary, for images without a C library. What could unwind is left out and relocations are
# packed, both for size alone.
static: export RUSTFLAGS = -C target-feature=+crt-static -C force-unwind-tables=no \
	-C link-arg=-Wl,-z,pack-relative-relocs -C link-arg=src/static.ld
static:
	$(CARGO) build --release --target $(HOST)

# What it costs, in turns with what it is compared with; ONLY=launch, warm, cold, variables, parse, derive,
# scale or redact for one table.
bench:
	tests/tools tini dumb-init catatonit chpst:runit envdir:daemontools curl openssl
	$(CARGO) bench --bench bench -- $(ONLY)

# A minute for each target; needs the nightly toolchain.
fuzz:
	tests/fuzz/run 60

install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(sort $(dir $(MANUALS:%=$(DESTDIR)%)))
	# Unreadable, so that no process of the user that it runs as can read it before its first instruction.
	install -m 711 $(BUILT)/dotenv-run $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BUILT)/dotenv-seal $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(filter %.1,$(PAGES:%=man/%)) $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(filter %.7,$(PAGES:%=man/%)) $(DESTDIR)$(PREFIX)/share/man/man7
	install -d $(DESTDIR)$(BASH_COMPLETIONS) $(DESTDIR)$(ZSH_COMPLETIONS) $(DESTDIR)$(FISH_COMPLETIONS)
	$(BUILT)/dotenv-run --completions bash >$(DESTDIR)$(BASH_COMPLETIONS)/dotenv-run
	$(BUILT)/dotenv-run --completions zsh >$(DESTDIR)$(ZSH_COMPLETIONS)/_dotenv-run
	$(BUILT)/dotenv-run --completions fish >$(DESTDIR)$(FISH_COMPLETIONS)/dotenv-run.fish

uninstall:
	rm -f $(BINARIES:%=$(DESTDIR)$(PREFIX)/bin/%)
	rm -f $(MANUALS:%=$(DESTDIR)%)
	rm -f $(DESTDIR)$(BASH_COMPLETIONS)/dotenv-run $(DESTDIR)$(ZSH_COMPLETIONS)/_dotenv-run \
		$(DESTDIR)$(FISH_COMPLETIONS)/dotenv-run.fish

clean:
	$(CARGO) clean
