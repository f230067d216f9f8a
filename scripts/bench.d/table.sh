# shellcheck shell=bash
# shellcheck disable=SC2154 # the options of scripts/bench, and what the files before this one made
# table.sh - the samples as a Markdown table: a row a figure, medians over the rounds, and below it
# what went wrong. With another build of Weir the last column is the median over the rounds of Weir's
# sample divided by the other's of the same round: what disturbs one round disturbs both alike.

# median: of the numbers on standard input; nothing, if there are none
median() {
    sort -g | awk '
        { value[NR] = $1 }
        END { if (NR) print NR % 2 ? value[(NR + 1) / 2] : (value[NR / 2] + value[NR / 2 + 1]) / 2 }'
}
# samples_of SUBJECT ROW.WHAT
samples_of() { awk -v key="$1 $2" '$1 " " $2 == key { print $4 }' "$samples"; }
# ratio_of SUBJECT OTHER ROW.WHAT: of samples of the same round
ratio_of() {
    awk -v one="$1" -v other="$2" -v what="$3" '
        $2 == what && $1 == one { value[$3] = $4 }
        $2 == what && $1 == other { base[$3] = $4 }
        END { for (i in base) if (i in value && base[i] > 0) print value[i] / base[i] }' "$samples" |
        median
}
is_invalid() { [ -n "${faults["$1 ${2%%.*}"]-}" ]; } # is_invalid SUBJECT ROW.WHAT
# cell FORMAT VALUE
# shellcheck disable=SC2059 # the format is the point
cell() { if [ -n "$2" ]; then printf "$1" "$2"; else printf -- '-'; fi; }

# cell_of SUBJECT ROW.WHAT FORMAT [compared]: compared = and in brackets the ratio to nginx
cell_of() {
    local value ratio=''
    if is_invalid "$1" "$2"; then
        printf invalid
        return
    fi
    value=$(samples_of "$1" "$2" | median)
    cell "$3" "$value"
    [ -n "${4-}" ] && [ -n "$value" ] || return 0
    is_invalid nginx "$2" || ratio=$(ratio_of "$1" nginx "$2")
    printf ' (%s)' "$(cell %.2f "$ratio")"
}
# row WORDS ROW.WHAT FORMAT AIM [compared]: only if it was measured
row() {
    local words=$1 what=$2 format=$3 aim=$4 subject line
    case " ${rows[*]} " in *" ${what%%.*} "*) ;; *) return 0 ;; esac
    line="| $words |"
    for subject in nginx haproxy weir; do
        line+=" $(cell_of $subject "$what" "$format" "${5-}") |"
    done
    line+=" $aim |"
    if [ -n "$against" ]; then
        line+=" $(cell_of before "$what" "$format" "${5-}") |"
        if is_invalid weir "$what" || is_invalid before "$what"; then
            line+=" invalid |"
        else
            line+=" $(cell %.3f "$(ratio_of weir before "$what")") |"
        fi
    fi
    echo "$line"
}
cpu_row() { row "CPU µs $1" "$2.cpu" %.1f "${3-}" compared; } # cpu_row WORDS ROW [AIM]

print_head() {
    local cpu
    cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    echo "\`$command_line\` on $(nproc) × $cpu, Linux $(uname -r), $(nginx -v 2>&1 | cut -d/ -f2-)" \
        "(nginx), $(haproxy -v | sed -n '1s/.*version \([0-9.]*\).*/\1/p') (HAProxy)," \
        "$(redis-server --version | sed 's/.*v=\([0-9.]*\).*/\1/') (Redis)."
    echo "Medians of $rounds rounds of $seconds s; in brackets the ratio to nginx."
    echo
    if [ -n "$against" ]; then
        echo '| | nginx | HAProxy | Weir | aim | before | Weir/before |'
        echo '|---|---|---|---|---|---|---|'
    else
        echo '| | nginx | HAProxy | Weir | aim |'
        echo '|---|---|---|---|---|'
    fi
}
print_faults() {
    local key
    for key in "${!faults[@]}"; do echo "- invalid: ${key#* } of ${key%% *}: ${faults[$key]}"; done | sort
    for key in "${!slow[@]}"; do echo "- slow: ${key#* } of ${key%% *}: ${slow[$key]}"; done | sort
}

print_table() {
    print_head
    cpu_row "a request, 2 KB, $rate a second" small '≤ 1.30'
    cpu_row "a request, 2 KB, 500 a second" small-500
    cpu_row "a request, 2 KB, as fast as it goes" small-full
    row 'requests a second then' small-full.per_second %.0f ''
    cpu_row "a request, 200 KB down, $light_rate a second" large '≤ 1.10'
    cpu_row "a request, 200 KB down, as fast as it goes" large-full
    cpu_row "an SSE event, $event_streams streams" events '≤ 1.00'
    cpu_row "a request, 20 KB up, $upload_20k_rate a second" upload-20k
    cpu_row "a request, 200 KB up, $upload_200k_rate a second" upload-200k
    cpu_row "a request, 1 MB up, $upload_1m_rate a second" upload-1m
    cpu_row "a request, 200 KB up, $((agent_events + 6)) SSE events down, $upload_events_rate a second" \
        upload-events
    cpu_row "a request, 2 KB, provider over TLS, $tls_rate a second" tls
    cpu_row "an SSE event, provider over TLS, $event_streams streams" tls-events
    cpu_row "a request, 2 KB, a connection for each, $fresh_rate a second" fresh
    row "added latency µs, 2 KB, $light_rate a second, p50" light.added_p50 %.0f ''
    row "added latency µs, 2 KB, $light_rate a second, p99" light.added_p99 %.0f ''
    row 'added delay µs of an event, p50' events.added_p50 %.0f ''
    row 'added delay µs of an event, p99' events.added_p99 %.0f ''
    row "KB an open stream, Pss, $streams streams" held.Pss %.1f '≤ 16'
    row "KB an open stream, Rss, $streams streams" held.Rss %.1f ''
    row "CPU a request with $streams streams open against none" held.crowding %.2f '≤ 1.10'
    row "Redis: functions, µs a request, $subscriptions subscriptions" redis.functions_plain %.1f '≤ 40'
    row "Redis: functions, µs a request, $subscriptions_many subscriptions" redis.functions_many %.1f '≤ 70'
    row "Redis: its process, CPU µs a request, $subscriptions subscriptions" redis.process_plain %.1f ''
    row "Redis: its process, CPU µs a request, $subscriptions_many subscriptions" redis.process_many %.1f ''
    echo
    print_faults
}
