#!/usr/bin/env bash
# The paper's scale, on a machine with a CUDA GPU and PyTorch >= 2.6, in calls of at most ten minutes each:
# the GPU tests, the benchmark, then the runs of results/paper/PLAN.md that have no result yet, with their figures.
#
#   OUT=out scripts/paper_scale.sh                       everything, as far as this call's time goes
#   SKIP="tests benchmark" OUT=out scripts/paper_scale.sh    go on with the runs
#
# Call it again until it says that the plan is done: a run stopped by the limit goes on where it stopped, as long as
# RUNS (its checkpoints; a memory disk is fastest) is still there. What is worth keeping is packed small in OUT, one archive
# a run: unpack it into results/paper/, commit it, and tick the plan. Of a finished run with a drop, the weights before the
# drop and at the end come too, in half precision, in pieces of 15 MB (cat NAME-weights.tar.* | tar -x).
set -euo pipefail
cd "$(dirname "$0")/.."

OUT=$(mkdir -p "${OUT:-paper-scale}" && cd "${OUT:-paper-scale}" && pwd)
RUNS=${RUNS:-runs/paper}
LIMIT=${LIMIT:-570}      # seconds for this call
RESERVE=${RESERVE:-40}   # of them, kept for the figures and the packing
DEVICE=${DEVICE:-cuda}
PLAN=${PLAN:-results/paper/PLAN.md}
PYTHON=${PYTHON:-python3}
SKIP=" ${SKIP:-} "
export PYTHONPATH=src:.${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1

left() { echo $((LIMIT - SECONDS)); }
skipped() { [[ $SKIP == *" $1 "* ]]; }
abruptlab() {
  local seconds=$(($(left) - RESERVE))
  timeout --signal=INT --kill-after=60 "$((seconds > 1 ? seconds : 1))" "$PYTHON" -m abruptlab "$@"  # 0 would be no limit
}

# A run's or a sweep's archive: everything but the weights. What is left of a checkpoint says that the run got there.
pack() {
  tar -czf "$OUT/$1.tar.gz.tmp" -C "$RUNS" --exclude='*.safetensors' --exclude='.lock' --exclude='measurements' "$1"
  mv "$OUT/$1.tar.gz.tmp" "$OUT/$1.tar.gz"
}

pack_weights() {
  "$PYTHON" -m scripts.ship_weights "$RUNS/$1" "$OUT/$1-weights" || return 0
  tar -cf - -C "$OUT" "$1-weights" | split -b 15M - "$OUT/$1-weights.tar."
  rm -r "$OUT/$1-weights"
}

"$PYTHON" -c "import torch; assert '$DEVICE' != 'cuda' or torch.cuda.is_available(), 'no CUDA GPU'"

if ! skipped tests; then
  echo "== GPU tests"
  CHECK_SHAPES=no timeout 240 "$PYTHON" -m pytest -p no:cacheprovider -W default -q -m cuda tests 2>&1 | tee "$OUT/tests.log" \
    || echo "GPU tests FAILED (see tests.log); going on"
fi

if ! skipped benchmark; then
  echo "== benchmark"
  timeout 240 "$PYTHON" -m benchmarks.train_step --device "$DEVICE" --seconds 30 --out "$OUT/benchmark" \
    || echo "benchmark FAILED; going on"
  [ -d "$OUT/benchmark" ] && tar -czf "$OUT/benchmark.tar.gz" -C "$OUT" benchmark && rm -r "$OUT/benchmark"
fi

# A line of the plan is "- [ ] NAME: COMMAND (remark)", with a command of abruptlab less its folder and device; a ticked
# box or results mean done. All families of a sweep share its folder, which starts from what the results have of it.
while IFS= read -r line <&3; do
  name=${line%%:*} arguments=${line#*: }
  arguments=${arguments%% (*}
  folder=$name
  if [[ $arguments == "sweep "* ]]; then
    read -r _ folder _ <<<"$arguments"
    folder=${folder%-paper}
    mkdir -p "$RUNS"
    [ -d "results/paper/$folder" ] && { cp -rn "results/paper/$folder" "$RUNS/" || true; }  # some say 1 of what is there
  fi
  skipped "$name" && continue
  [[ $folder == "$name" && -e "results/paper/$name/claims.json" ]] && continue
  if [ "$(left)" -lt $((RESERVE * 2)) ]; then
    echo "== time is up before $name; call again with SKIP=\"tests benchmark\""
    exit 0
  fi
  echo "== $name: abruptlab $arguments"
  status=0
  [[ $arguments != "sweep "* && -d "$RUNS/$folder" ]] && arguments+=" --resume"
  # shellcheck disable=SC2086 # the arguments are words
  abruptlab $arguments --device "$DEVICE" --out "$RUNS/$folder" || status=$?
  if [[ $status == 0 ]]; then # side by side: much of either is on the CPU
    abruptlab figures "$RUNS/$folder" &
    abruptlab claims "$RUNS/$folder" || status=$?
    wait $! || status=$?
    [[ $arguments == "sweep "* ]] || abruptlab report "$RUNS/$folder" || status=$?
  fi
  [ -d "$RUNS/$folder" ] && pack "$folder"
  [[ $status == 0 && $arguments != "sweep "* ]] && pack_weights "$folder"
  case $status in
    0) echo "== $name is done" ;;
    124 | 130 | 137)
      echo "== $name was stopped by the limit; call again with SKIP=\"tests benchmark\""
      exit 0
      ;;
    *) echo "== $name FAILED with status $status; going on" ;;
  esac
done 3< <(sed -n 's/^- \[ \] //p' "$PLAN")
echo "== the plan is done"
