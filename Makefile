# The commands of daily work; `make` alone lists them. Nothing has to be installed by hand first.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Touched after an installation: the next one comes only when the packaging files change.
READY := $(VENV)/.ready

# How much `make prove` proves; each is an argument: make prove TRANSFERS=500 BAD=20000
TRANSFERS ?= 2000
RELAY ?= 500
RELAY_SIZE ?= 1048576
STORM ?= 1000
BAD ?= 200000
KILLS ?= 200
ROLLOUT ?= 500
SCAN ?= 1000
USERS ?= 50000
SHOWN ?= 50000
MANAGER_KILLS ?= 50
WATCH_SECONDS ?= 600
CENTRAL_KILLS ?= 50
SHOWN ?= 50000
FIRMWARE_SIZE ?= 1073741824
EVIDENCE ?= docs/evidence
# Many tests wait for a time-out, so more of them run than there are cores.
WORKERS ?= $(shell echo $$(( $$(nproc 2>/dev/null || echo 2) * 2 )))

# What `make test` and `make bench` drive of other people's work: PROGRAM=PACKAGE.
CLIENTS := tftp=tftp-hpa atftp=atftp busybox=busybox curl=curl openssl=openssl sslscan=sslscan lftp=lftp ip=iproute2 \
    snmpd=snmpd snmpget=snmp nmap=nmap strace=strace chromium=chromium groff=groff-base
SERVERS := in.tftpd=tftpd-hpa dnsmasq=dnsmasq-base nginx=nginx-light vsftpd=vsftpd wrk=wrk gcc=build-essential
PROVERS := debootstrap=debootstrap rpmbuild=rpm rpm2cpio=rpm2cpio cpio=cpio unshare=util-linux keepalived=keepalived ping=iputils-ping dhcpd=isc-dhcp-server \
    kea-dhcp4=kea-dhcp4-server dnsmasq=dnsmasq-base systemd-analyze=systemd pkcheck=polkitd

.PHONY: help run test check prove bench package clean clients servers provers

help: ## list these targets
	@awk -F':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(READY) ## a scratch home served; two simulated phones boot, save and restore; until Ctrl-C (RUN_ONCE=1: ends then)
	@$(BIN)/python -m mv_iptel.demo

test: $(READY) clients ## every test, with the programs of other people that are there
	@$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile || { \
	    test $$? -eq 1 || exit 1; \
	    echo "What failed runs once more, alone. If it passes now it is unstable: look at it all the same."; \
	    $(BIN)/python -m pytest --last-failed --last-failed-no-failures=none; }

check: $(READY) ## ruff, and the rules of the house that a machine can hold
	@$(BIN)/ruff check .
	@$(BIN)/python -m pytest tests/test_house.py

prove: $(READY) clients provers ## the long proofs (TRANSFERS, STORM, KILLS, ...: their counts); results in docs/evidence/
	@$(BIN)/python -m pytest tests -m prove --transfers=$(TRANSFERS) --relay=$(RELAY) --relay-size=$(RELAY_SIZE) \
	    --storm=$(STORM) --bad=$(BAD) --kills=$(KILLS) --rollout=$(ROLLOUT) \
	    --scan=$(SCAN) --users=$(USERS) --shown=$(SHOWN) --manager-kills=$(MANAGER_KILLS) --watch-seconds=$(WATCH_SECONDS) --central-kills=$(CENTRAL_KILLS) --shown=$(SHOWN) --firmware-size=$(FIRMWARE_SIZE) --evidence=$(EVIDENCE) --timeout=3600

bench: $(READY) servers ## side by side with other servers; prints ratios
	@$(BIN)/python -m benchmarks

package: $(READY) ## build .deb, .rpm, the folder for Windows, sdist and wheel into dist/
	@tests/clients/get rpmbuild=rpm
	@$(BIN)/python packaging/build.py

clean: ## remove what these commands made, the environment too
	rm -rf $(VENV) .run build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

clients:
	@tests/clients/get $(CLIENTS)

servers:
	@tests/clients/get $(SERVERS)

provers:
	@tests/clients/get $(PROVERS)

$(READY): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "mv-iptel needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || tests/clients/get --must ensurepip=python3-venv
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing mv-iptel and what it needs into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@
