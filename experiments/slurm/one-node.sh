#!/usr/bin/env bash
# A Slurm cluster of one node, this machine, for as long as one command runs:
#
#     experiments/slurm/one-node.sh make paper NAME=random-labels EXECUTOR=slurm
#     experiments/slurm/one-node.sh .venv/bin/python -m pytest tests/press/test_press_jobs.py
#     experiments/slurm/one-node.sh squeue
#
# It shows that the jobs of a real cluster run; nothing gets faster by it. Debian or Ubuntu, as root, for example in a
# container: slurm-wlm and munge are installed with apt-get if they are missing, and the daemons run without systemd. The key,
# state and logs lie in a folder of their own, which goes when the command ends well. /etc/slurm/slurm.conf is a link into
# it for that time; a machine that has such a file already belongs to a cluster and is left alone.
set -euo pipefail

fail() { echo "error: $*" >&2; exit 1; }

config=/etc/slurm/slurm.conf  # Slurm's own place: the executor hands no SLURM_CONF on to its jobs

[ $# -gt 0 ] || fail "no command given; for example: $0 make paper NAME=random-labels EXECUTOR=slurm"
[ ! -e $config ] || fail "$config exists: this machine belongs to a cluster; use that, or remove the file"
[ "$(id -u)" = 0 ] || fail "the daemons of Slurm run as root, this is $(id -un); run this in a container, as root"
PATH=$PATH:/usr/sbin
missing=$(for program in slurmctld slurmd sbatch munged; do command -v $program > /dev/null || echo $program; done)
if [ -n "$missing" ]; then
    command -v apt-get > /dev/null || fail "there is no" $missing "and no apt-get to install it; install Slurm and munge"
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends slurm-wlm munge
fi

state=$(mktemp -d)
chmod 755 "$state"
mkdir "$state/munge" "$state/controller" "$state/node" "$state/profile"
pids=()

stop() {
    status=$?
    trap - EXIT
    scancel --quiet --user=root 2> /dev/null || true
    for attempt in $(seq 20); do  # the daemons have to outlive the jobs, or these run on alone
        [ -n "$(squeue --noheader 2> /dev/null)" ] || break
        sleep 1
    done
    for ((index = ${#pids[@]} - 1; index >= 0; index--)); do
        kill "${pids[index]}" 2> /dev/null || true
        wait "${pids[index]}" 2> /dev/null || true
    done
    rm -f $config
    if [ $status = 0 ]; then rm -rf "$state"; else echo "The logs of the cluster are in $state" >&2; fi
    exit $status
}
trap stop EXIT
trap 'exit 130' INT TERM

node=$(hostname -s)
cores=$(getconf _NPROCESSORS_ONLN)  # nproc would heed OMP_NUM_THREADS
memory=$(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo)  # MiB

cat > "$state/slurm.conf" <<END
ClusterName=one-node
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$state/munge/socket
StateSaveLocation=$state/controller
SlurmdSpoolDir=$state/node
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.pid
SlurmctldLogFile=$state/slurmctld.log
SlurmdLogFile=$state/slurmd.log
# no cgroups: they need more rights than a container has
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# there is no database of past jobs; the controller remembers them for an hour
MinJobAge=3600
# so that a job of the book fits into a machine with less memory than the job may take
SlurmdParameters=config_overrides
NodeName=$node NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$((memory > 18432 ? memory : 18432))
PartitionName=all Nodes=$node Default=YES MaxTime=INFINITE State=UP
END

# How Snakemake asks after its jobs where no database keeps them, and soon: jobs are short here.
cat > "$state/profile/config.yaml" <<END
slurm-status-command: squeue
slurm-init-seconds-before-status-checks: 5
END

start() {  # run a daemon as a child, out of reach of Ctrl-C: it has to be there until the jobs are cancelled
    setsid "$@" > "$state/${1##*/}.out" 2>&1 &
    pids+=($!)
}

(umask 077 && head -c 1024 /dev/urandom > "$state/munge.key")
start munged --foreground --force --key-file="$state/munge.key" --seed-file="$state/munge.seed" \
    --socket="$state/munge/socket" --pid-file="$state/munge/pid" --log-file="$state/munged.log"
mkdir -p ${config%/*}
ln -sf "$state/slurm.conf" $config
export SNAKEMAKE_PROFILE=$state/profile
start slurmctld -D
start slurmd -D
for attempt in $(seq 60); do
    [ "$(sinfo --noheader --format=%T 2> /dev/null)" != idle ] || break
    for pid in "${pids[@]}"; do kill -0 "$pid" 2> /dev/null || break 2; done
    sleep 1
done
[ "$(sinfo --noheader --format=%T 2> /dev/null)" = idle ] || {
    tail -n 5 "$state"/*.log "$state"/*.out >&2 || true
    fail "the cluster did not start"
}
echo "Slurm $(sinfo --version | cut -d' ' -f2) on $node: $cores cores, $memory MiB" >&2

"$@"
