# Everything a developer or a first user needs, on a fresh machine with python3 and make.
# Targets that need an environment make it first; `make help` lists them. A campaign of training that runs beside
# them rests while one that measures (ALONE) is at work.

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info)' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
EXE := $(if $(filter Windows_NT,$(OS)),.exe)
RUN := $(BIN)/python$(EXE)
ALONE := $(RUN) -m streamderain.training.rest
OF_MODEL = $(if $(MODEL),--model $(MODEL))
# Each test computes in one thread, and waits a third of its time, for servers and programs of its own.
WORKERS = $(shell $(RUN) -c 'from streamderain.machine import cores_here; print(min(4, 1 + cores_here()))')
SIDE_BY_SIDE = -n $(WORKERS) --dist worksteal
SAMPLE := samples/rainy-temple

.PHONY: help demo test test-all lint bench profile quality judge temporal ray-test scale joins live-bench fidelity soak alarms readme docs docs-pages train campaign cuda-test cuda-bench cuda-train samples clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.installed ## derain the sample clip to out.mp4, and write out-compare.mp4
	$(BIN)/streamderain $(SAMPLE).mp4 out.mp4 --compare out-compare.mp4 --overwrite
	@echo "derained: $(CURDIR)/out.mp4; rainy beside derained: $(CURDIR)/out-compare.mp4"

test: $(VENV)/.developer $(VENV)/.servers ## set up, then run the quick tests
	$(ALONE) $(RUN) -m pytest $(SIDE_BY_SIDE) -m "not slow"

test-all: $(VENV)/.developer $(VENV)/.servers ## run all tests, the slow ones too
	$(ALONE) $(RUN) -m pytest $(SIDE_BY_SIDE)

lint: $(VENV)/.developer ## ruff and mypy
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

bench: $(VENV)/.developer ## run the benchmarks and write benchmarks/*.json
	$(ALONE) $(RUN) benchmarks/overlap.py
	$(ALONE) $(RUN) benchmarks/memory.py
	$(ALONE) $(RUN) benchmarks/engine.py
	$(ALONE) $(RUN) benchmarks/startup.py
	$(ALONE) $(RUN) benchmarks/tiles.py
	$(MAKE) profile
	$(MAKE) temporal
	$(MAKE) quality

profile: $(VENV)/.developer ## measure which resolution this machine derains live, benchmarks/profile.json
	$(ALONE) $(BIN)/streamderain profile --json benchmarks/profile.json --plot docs/profile.png

quality: $(VENV)/.developer ## score the networks, or MODEL alone, write benchmarks/quality.md, and sheets of real rain
	$(ALONE) $(RUN) benchmarks/quality.py $(OF_MODEL)
	$(ALONE) $(RUN) benchmarks/harm.py $(OF_MODEL)
	$(ALONE) $(RUN) benchmarks/contact_sheets.py $(OF_MODEL)
	$(RUN) benchmarks/quality_page.py
	$(MAKE) readme

judge: $(VENV)/.developer ## judge the bundled networks, or MODEL alone, on held-out material, and write docs/judge.md
	$(ALONE) $(RUN) benchmarks/judge.py $(OF_MODEL)
	$(RUN) benchmarks/judge_page.py

temporal: $(VENV)/.developer ## measure what neighbouring frames are worth, and write benchmarks/temporal.md
	$(ALONE) $(RUN) benchmarks/temporal.py
	$(ALONE) $(RUN) benchmarks/blending.py
	$(RUN) benchmarks/temporal_page.py

# s3fs takes one release of boto3 alone, and moto any: named together, pip finds it.
ray-test: $(VENV)/.developer ## install the extra ray and a server of S3, then run the tests that need them
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable '.[ray]' 's3fs[boto3]' 'moto[s3,server]>=5'
	$(ALONE) $(RUN) -m pytest tests/batch tests/test_cli_batch.py

scale: $(VENV)/.developer ## measure what a second worker is worth, simulate 4 to 256 machines, and write docs/scale.md
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable '.[ray]'
	$(ALONE) $(RUN) benchmarks/scale.py
	$(RUN) benchmarks/scale_page.py

joins: $(VENV)/.developer ## measure what is lost where parts of a film meet, and write docs/joins.md
	$(ALONE) $(RUN) benchmarks/joins.py
	$(RUN) benchmarks/joins_page.py

live-bench: $(VENV)/.developer $(VENV)/.servers ## measure latency, recoveries and many cameras, benchmarks/live/*.json
	$(ALONE) $(RUN) benchmarks/live/latency.py
	$(ALONE) $(RUN) benchmarks/live/recoveries.py
	$(ALONE) $(RUN) benchmarks/live/slow.py
	$(ALONE) $(RUN) benchmarks/live/sharing.py
	$(ALONE) $(RUN) benchmarks/live/cameras.py
	$(ALONE) $(RUN) benchmarks/live/load.py
	$(RUN) benchmarks/live/page.py

fidelity: $(VENV)/.developer $(VENV)/.servers ## run hundreds of odd files through, and write docs/fidelity.md
	$(ALONE) $(RUN) benchmarks/fidelity/run.py
	$(ALONE) $(RUN) benchmarks/fidelity/mutations.py --add
	$(ALONE) $(RUN) benchmarks/fidelity/full_disk.py
	$(ALONE) $(RUN) benchmarks/fidelity/memory.py
	$(RUN) benchmarks/fidelity/page.py

soak: $(VENV)/.developer $(VENV)/.servers ## one hour of the real program: does its memory grow?
	$(ALONE) $(RUN) benchmarks/live/soak.py --kill-every 10
	$(RUN) benchmarks/live/page.py

alarms: $(VENV)/.developer ## what deraining is worth to detectors, into docs/frigate.md; HOG needs OpenCV 4
	$(ALONE) $(RUN) benchmarks/alarms.py
	$(RUN) benchmarks/alarms_page.py

readme: $(VENV)/.developer ## write the numbers of benchmarks/*.json into README.md
	$(RUN) benchmarks/readme.py

docs: $(VENV)/.developer docs-pages ## build the documentation site, build/site
	PYTHONPATH="$(CURDIR)" NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict

docs-pages: $(VENV)/.developer ## write docs/cli.md from the commands
	PYTHONPATH="$(CURDIR)" $(RUN) scripts/cli_reference.py

samples: $(VENV)/.developer ## make the sample clips anew
	$(RUN) samples/make_samples.py

train: $(VENV)/.installed ## train a bundled network on ../shared/data (CONFIG=train-best, or a file)
	$(BIN)/streamderain train --config $(or $(CONFIG),train-fast)

campaign: $(VENV)/.installed ## train all stages of PLAN with THREADS, by default one, from wherever they are; stop it at any time
	OMP_NUM_THREADS=$(or $(THREADS),1) nice -n 19 $(BIN)/streamderain campaign $(or $(PLAN),configs/campaign/plan.yaml)

# On a machine with an NVIDIA GPU that has torch already, and perhaps neither PyAV nor OpenCV.
cuda-test: ## run the tests marked cuda; a missing GPU fails
	FAIL_WITHOUT_CUDA=1 python3 -m pytest -m cuda tests/engine tests/networks tests/backends tests/temporal -p no:cacheprovider

cuda-bench: ## measure the engine on a GPU, and which resolution it derains live, JSON under benchmarks/
	PYTHONPATH="$(CURDIR):$$PYTHONPATH" python3 benchmarks/engine.py --device cuda
	PYTHONPATH="$(CURDIR):$$PYTHONPATH" python3 -m streamderain profile --device cuda --model best --model fast \
		--backend graphs --backend compiled --backend triton --json benchmarks/profile-cuda.json

cuda-train: ## go on with the campaign on a GPU, on the data in DATA=folder (av and cv2 come as wheels on PYTHONPATH)
	PYTHONPATH="$(CURDIR):$$PYTHONPATH" python3 -m streamderain campaign $(or $(PLAN),configs/campaign/plan.yaml) \
		--set device=cuda --set bf16=true --set workers=12 --set photos=$(DATA)/train/clean \
		--set held_out_clip=$(DATA)/clips/clean/pedestrians.mp4 $(TRAIN_OPTIONS)

clean: ## remove what make made
	rm -rf $(VENV) build dist out.mp4 out-compare.mp4 benchmarks/sheets

# A bare Debian has no ensurepip: then pip comes from python3-pip, or else from the package python3-venv.
$(BIN)/pip$(EXE):
	@test -n "$(PYTHON)" || { echo "streamderain needs Python 3.11 or newer; install python3"; exit 1; }
	$(PYTHON) -m venv $(VENV) 2>/dev/null \
		|| { rm -rf $(VENV); $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(RUN) install pip 2>/dev/null; } \
		|| { rm -rf $(VENV); as_root="$$(test "$$(id -u)" = 0 || echo sudo)"; \
			$$as_root apt-get update && $$as_root apt-get install -y python3-venv && $(PYTHON) -m venv $(VENV); }

$(VENV)/.installed: $(BIN)/pip$(EXE) pyproject.toml constraints.txt
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.developer: $(VENV)/.installed
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# What tests talk to: cameras and servers by GStreamer and ffmpeg, a broker, and a browser. Where they cannot be installed, the
# tests that need them skip and say so.
SERVERS := ffmpeg chromium mosquitto faketime python3-gi gir1.2-gst-rtsp-server-1.0 gir1.2-gst-plugins-base-1.0 gstreamer1.0-rtsp \
	gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly \
	gstreamer1.0-nice gir1.2-gst-plugins-bad-1.0
$(VENV)/.servers: $(BIN)/pip$(EXE)
	@dpkg -s $(SERVERS) >/dev/null 2>&1 || { as_root="$$(test "$$(id -u)" = 0 || echo sudo)"; \
		$$as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$as_root apt-get install -y -qq \
			--no-install-recommends $(SERVERS) >/dev/null; } \
		|| echo "tests that need a camera, a server or a browser will skip: apt-get could not install them"
	touch $@
