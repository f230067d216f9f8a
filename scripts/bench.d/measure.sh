# shellcheck shell=bash
# shellcheck disable=SC2154 # the options of scripts/bench, and what the files before this one made
# measure.sh - one measurement of one contestant: a load, and what is kept of it. A load that did
# not go as it should have makes its cell of the table invalid: nothing of it is kept, and the
# table says why. One that was slower than asked for counts, and is told.

samples=$folder/samples # lines: subject, row.what, round, value
: >"$samples"
declare -A faults=() slow=() # of "SUBJECT ROW": what went wrong first

fault() { # fault ROW SUBJECT WORDS; of ROW.PART the row counts
    faults["$2 ${1%%.*}"]=${faults["$2 ${1%%.*}"]-$3}
    warn "$2, $1: $3"
}

# field FILE GROUP KEY: a number out of weir-load's JSON; GROUP '' = at the top
field() {
    if [ -n "$2" ]; then
        grep -oE "\"$2\":\{[^}]*\}" "$1" | grep -oE "\"$3\":-?[0-9.]+" | cut -d: -f2
    else
        grep -oE "\"$3\":-?[0-9.]+" "$1" | head -n 1 | cut -d: -f2
    fi
}
compute() { awk "BEGIN { printf \"%.3f\", $1 }" 2>/dev/null || true; } # nothing, where there is none
is_true() { [ "$(awk "BEGIN { print ($1) ? 1 : 0 }")" = 1 ]; }
# keep SUBJECT ROW.WHAT VALUE: a sample of this round
keep() { [ -z "$3" ] || echo "$1 $2 $round $3" >>"$samples"; }
# sample SUBJECT ROW.WHAT: the one of this round; nothing, if there is none
sample() { awk -v key="$1 $2 $round" '$1 " " $2 " " $3 == key { print $4 }' "$samples"; }
# keep_latency SUBJECT ROW GROUP: a percentile of that group of $result, and what it is more than
# without a proxy
keep_latency() {
    local percentile value
    for percentile in p50 p99; do
        value=$(field "$result" "$3" $percentile)
        keep "$1" "$2.$percentile" "$value"
        keep "$1" "$2.added_$percentile" "$(compute "$value - $(sample direct "$2.$percentile")")"
    done
}
# keep_cpu SUBJECT ROW.WHAT PID PER: the processor time of that process, for each of so many
keep_cpu() {
    local used
    used=$(field "$result" cpu_us "$3")
    if [ "${used:--1}" -gt 0 ] && [ "$4" -gt 0 ]; then
        keep "$1" "$2" "$(compute "$used / $4")"
    else
        fault "$2" "$1" "its process has ended, or nothing was done"
    fi
}

# load ROW SUBJECT VARIANT OPTIONS...: runs weir-load against the subject; its result is in $result,
# unless this fails: then the fault is noted.
result=$folder/result
load() {
    local row=$1 subject=$2 at=$2.$3 watch=()
    ensure "$subject" "$3"
    [ -z "${pids[$at]}" ] || watch=(--watch "${pids[$at]}")
    "${pin_rest[@]}" "$binaries/weir-load" ${watch[0]+"${watch[@]}"} --seconds "$seconds" --warmup 1 \
        -H 'x-api-key: bench' -H 'anthropic-version: 2023-06-01' -H 'x-client-id: bench' "${@:4}" \
        "http://127.0.0.1:${ports[$at]}/v1/messages" >"$result" 2>"$result.words" || {
        fault "$row" "$subject" "$(load_errors)"
        return 1
    }
}
load_errors() {
    local name value words=''
    for name in connect closed timeout status bytes malformed warmup_errors missing dropped; do
        value=$(field "$result" '' $name)
        [ "${value:-0}" = 0 ] || words+="$name $value, "
    done
    words+=$(head -n 1 "$result.words")
    echo "errors: ${words%, }"
}
script() { echo "x-provider-script: $1"; }

# measure_requests ROW SUBJECT VARIANT ANSWER_SCRIPT OPTIONS...: a rate comes last
measure_requests() {
    local row=$1 subject=$2 variant=$3
    load "$row" "$subject" "$variant" -c "$connections" -H "$(script "$4")" "${@:5}" || return 0
    case " $*" in *" --rate "*) check_rate "$row" "$subject" "${@: -1}" ;; esac
    keep "$subject" "$row.per_second" "$(field "$result" '' per_second)"
    keep_latency "$subject" "$row" latency
    [ "$subject" = direct ] ||
        keep_cpu "$subject" "$row.cpu" "${pids[$subject.$variant]}" "$(field "$result" '' ok)"
}
# Latency of a load that was too much tells nothing, and a request is cheaper among many.
check_rate() { # check_rate ROW SUBJECT RATE
    is_true "$(field "$result" '' per_second) < 0.97 * $3" || return 0
    slow["$2 $1"]="did not keep up with $3 a second"
    warn "$2, $1: ${slow["$2 $1"]}"
}

events_script() { # events_script COUNT
    echo "{\"events\":$1,\"event_delay_ms\":$event_ms,\"text_bytes\":$(($1 * 20)),\"stamp\":true}"
}
# measure_streams ROW SUBJECT VARIANT: many streams at once, of events that follow one another slowly
measure_streams() {
    local row=$1 subject=$2 variant=$3
    load "$row" "$subject" "$variant" --stream -c "$event_streams" \
        -H "$(script "$(events_script $((seconds * 1000 / event_ms / 2)))")" || return 0
    keep_latency "$subject" "$row" event_delay
    [ "$subject" = direct ] ||
        keep_cpu "$subject" "$row.cpu" "${pids[$subject.$variant]}" "$(field "$result" '' events)"
}

# hold_streams SUBJECT: opens them and leaves them open until release_streams
hold_streams() {
    mkfifo "$folder/hold"
    "${pin_rest[@]}" "$binaries/weir-load" --hold "$streams" -H 'x-api-key: bench' \
        -H "$(script '{"stall_after_events":3}')" \
        "http://127.0.0.1:${ports[$1.stream]}/v1/messages" <"$folder/hold" >"$folder/held" 2>&1 &
    holder=$!
    processes+=("$holder") # it also ends by itself when this script does
    exec 4>"$folder/hold"
    is_soon 30 grep -q '^{"held"' "$folder/held" ||
        fault held "$1" "did not come to $streams open streams"
}
release_streams() { # release_streams SUBJECT
    exec 4>&-
    wait "$holder" ||
        fault held "$1" "held streams: $(tail -n +2 "$folder/held" | tr '\n' ' ' | cut -c1-120)"
    rm -f "$folder/hold" "$folder/held"
}

# memory_kb KIND PID: Pss or Rss
memory_kb() { awk -v kind="$1:" '$1 == kind { print $2 }' "/proc/$2/smaps_rollup"; }

# What a request costs with many streams open against the same load with none, and their memory.
measure_held() {
    local subject=$1 kind pid
    local -A before=()
    restart "$subject" stream
    pid=${pids[$subject.stream]}
    measure_requests held.alone "$subject" plain "$small_answer" --rate "$rate"
    for kind in Pss Rss; do before[$kind]=$(memory_kb $kind "$pid"); done
    hold_streams "$subject"
    for kind in Pss Rss; do
        keep "$subject" "held.$kind" \
            "$(compute "($(memory_kb $kind "$pid") - ${before[$kind]}) / $streams")"
    done
    measure_requests held.crowded "$subject" plain "$small_answer" --rate "$rate"
    release_streams "$subject"
    keep "$subject" held.crowding \
        "$(compute "$(sample "$subject" held.crowded.cpu) / $(sample "$subject" held.alone.cpu)")"
}

# redis_function_us SUBJECT: microseconds Redis has spent in functions, as it counts them itself.
redis_function_us() {
    redis-cli -s "$folder/redis_$1.sock" info commandstats | tr -d '\r' |
        sed -n 's/^cmdstat_fcall[^:]*:.*usec=\([0-9]*\),.*/\1/p' | awk '{ sum += $1 } END { print sum + 0 }'
}

# Redis counts by the clock. So here it is the one with a CPU of its own, and what would else be idle
# there is spent by a loop of the lowest priority: a CPU that has slept wakes up cold, and what that costs
# (three times the work itself at a thousand requests a second) says more of the machine than of Redis.
measure_redis() {
    local subject=$1 variant
    for variant in plain many; do
        ensure "$subject" $variant
        if [ ${#pin_proxy[@]} -gt 0 ]; then
            measure_redis_alone "$subject" $variant
        else
            measure_redis_load "$subject" $variant
        fi
    done
}
measure_redis_alone() {
    local spinner rest=${pin_rest[2]}
    local -a pin_rest=("${pin_proxy[@]}")
    taskset -a -p -c 0 "$provider_pid" >/dev/null
    taskset -a -p -c 1 "${redis_pids[$1]}" >/dev/null
    taskset -c 1 chrt --idle 0 sh -c 'while :; do :; done' &
    spinner=$!
    processes+=("$spinner")
    measure_redis_load "$@"
    end_process "$spinner"
    taskset -a -p -c "$rest" "$provider_pid" >/dev/null
    taskset -a -p -c "$rest" "${redis_pids[$1]}" >/dev/null
}
measure_redis_load() {
    local subject=$1 variant=$2 pid=${redis_pids[$1]} before
    before=$(redis_function_us "$subject")
    load redis "$subject" "$variant" --warmup 0 --watch "$pid" -c "$connections" \
        -H "$(script "$small_answer")" || return 0
    keep "$subject" "redis.functions_$variant" \
        "$(compute "($(redis_function_us "$subject") - $before) / $(field "$result" '' ok)")"
    keep_cpu "$subject" "redis.process_$variant" "$pid" "$(field "$result" '' ok)"
}
