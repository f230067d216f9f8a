# shellcheck shell=bash disable=SC2154 # $reports and the colours are the caller's
# jobs.sh - runs commands side by side, each with a limit in time and its output in a file of its
# own, which the caller shows as a block when it has ended. Sourced after common.sh, never run.
#
#   job NAME WIDTH NEEDS SECONDS COMMAND...   plans one
#       WIDTH    narrow: one process at work; wide: keeps all cores busy by itself; alone: must have
#                the machine for itself. One wide job runs at a time, and beside it as many narrow
#                ones as there are cores; those alone run at the end, one after the other
#       NEEDS    names of planned jobs that must have ended well before; or ''
#       SECONDS  its limit; then it ends with all that it started in its process group
#   run_jobs     runs what was planned, in that order as far as needs allow. Told to stop (INT, TERM),
#                it asks all that run to end at once, waits for each, and exits with 130
#
# The caller has $reports, a folder for the output, and job_ended NAME STATUS LOG: called for each job once, when it has ended. STATUS 124:
# its limit was over. STATUS 'unmet': it never ran, for something that it needs has failed.

# shellcheck disable=SC2034 # for those who source this
cores=$(nproc)

# Only noted, so that no job can slip through between its start and our knowing its pid.
is_told_to_stop=''
trap 'is_told_to_stop=yes' INT TERM

planned=() running=()
declare -A job_width job_needs job_seconds job_command job_state job_pid job_began job_took

job() {
    local name=$1 command
    command=$(printf '%q ' "${@:5}")
    if [ -n "${job_command[$name]-}" ]; then
        [ "${job_command[$name]}" = "$command" ] && return # asked for twice
        die "two different jobs are called $name"
    fi
    planned+=("$name")
    job_width[$name]=$2 job_needs[$name]=$3 job_seconds[$name]=$4 job_state[$name]=waiting
    job_command[$name]=$command
}

# has_room NAME: whether it may run beside what runs now
has_room() {
    local other wide=0 narrow=0
    for other in "${running[@]}"; do
        case ${job_width[$other]} in
        alone) return 1 ;;
        wide) wide=1 ;;
        *) narrow=$((narrow + 1)) ;;
        esac
    done
    case ${job_width[$1]} in
    alone) [ ${#running[@]} = 0 ] ;;
    wide) [ $wide = 0 ] ;;
    *) [ $narrow -lt $((wide == 1 ? cores : cores + 1)) ] ;;
    esac
}

# needs_of NAME: met, waiting or unmet
needs_of() {
    local need answer=met
    for need in ${job_needs[$1]}; do
        case ${job_state[$need]-unmet} in
        well) ;;
        waiting | running) answer=waiting ;;
        *) echo unmet; return ;;
        esac
    done
    echo "$answer"
}

# The planned job that is to start next goes to $next; '' if there is none for now. What wants the
# machine for itself comes when nothing else is left.
choose_next() {
    local name turn
    next=''
    for turn in shared alone; do
        for name in "${planned[@]}"; do
            [ "${job_state[$name]}" = waiting ] || continue
            [ $turn = alone ] || [ "${job_width[$name]}" != alone ] || continue
            case $(needs_of "$name") in
            unmet) job_over "$name" unmet ;;
            met) if has_room "$name"; then next=$name; return; fi ;;
            esac
        done
        [ ${#running[@]} = 0 ] || return
    done
}

job_log() { echo "$reports/${1//\//-}.log"; }

# timeout puts the command into a process group of its own and hands on to it what it is told.
start_job() {
    local name=$1
    printf '%s\n' "${dim}.. $name${plain}"
    eval "exec timeout --kill-after=15 ${job_seconds[$name]} ${job_command[$name]}" \
        </dev/null >"$(job_log "$name")" 2>&1 &
    job_pid[$name]=$! job_began[$name]=$SECONDS job_state[$name]=running
    running+=("$name")
}

job_over() {
    local name=$1 status=$2
    if [ "$status" = 0 ]; then job_state[$name]=well; else job_state[$name]=ill; fi
    job_took[$name]=$((SECONDS - ${job_began[$name]-SECONDS}))
    job_ended "$name" "$status" "$(job_log "$name")"
}

collect_ended() {
    local name status still=() ended=()
    for name in "${running[@]}"; do
        if kill -0 "${job_pid[$name]}" 2>/dev/null; then still+=("$name"); else ended+=("$name"); fi
    done
    running=("${still[@]}")
    for name in "${ended[@]}"; do
        status=0
        wait "${job_pid[$name]}" || status=$?
        job_over "$name" "$status"
    done
    [ ${#ended[@]} -gt 0 ]
}

# A word every half minute: who is still at it.
tell_running() {
    local name words='' waiting=0
    for name in "${running[@]}"; do words+=" $name ($((SECONDS - job_began[$name])) s)"; done
    for name in "${planned[@]}"; do
        [ "${job_state[$name]}" != waiting ] || waiting=$((waiting + 1))
    done
    printf '%s\n' "${dim}.. still:$words; $waiting to come${plain}"
}

wait_for_an_end() {
    local told=$SECONDS
    until collect_ended || [ -n "$is_told_to_stop" ]; do
        [ $((SECONDS - told)) -lt 30 ] || { tell_running; told=$SECONDS; }
        sleep 0.1
    done
}

run_jobs() {
    local next
    while [ -z "$is_told_to_stop" ]; do
        choose_next
        if [ -n "$next" ]; then
            start_job "$next"
        elif [ ${#running[@]} = 0 ]; then
            return
        else
            wait_for_an_end
        fi
    done
    stop_jobs
    exit 130
}

stop_jobs() {
    local name
    for name in "${running[@]}"; do kill -TERM "${job_pid[$name]}" 2>/dev/null; done
    for name in "${running[@]}"; do stop_process "${job_pid[$name]}" 20; done
}
