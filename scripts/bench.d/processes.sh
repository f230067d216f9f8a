# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # what is made here is for whoever sources this; so is $binaries
# processes.sh - what stands around a proxy that is measured: a folder, processors, ports, the fake
# provider, Redis. Everything that was started ends with the script, the last one first.
# Sourced behind common.sh; wants $binaries, the folder of weir, weir-load and weir-provider.

processes=() folder=''
stop_all() {
    local i
    trap - EXIT
    trap '' INT TERM
    for ((i = ${#processes[@]} - 1; i >= 0; i--)); do stop_process "${processes[i]}"; done
    [ -z "$folder" ] || rm -rf "$folder"
}
trap stop_all EXIT
trap 'exit 130' INT TERM
folder=$(mktemp -d)

# The proxy under test has a processor of its own, all the rest shares the others.
if [ "$(nproc)" -ge 2 ]; then
    pin_proxy=(taskset -c 0) pin_rest=(taskset -c "1-$(($(nproc) - 1))")
else
    warn "only one CPU: the proxy shares it with all the rest"
    pin_proxy=() pin_rest=()
fi

# run_in_background NAME COMMAND...: its output goes to NAME.log, its process id to $started
started=''
run_in_background() {
    local name=$1
    shift
    : >"$folder/$name.log"
    "$@" >>"$folder/$name.log" 2>&1 &
    started=$!
    processes+=("$started")
}
# end_process PID: now, and not once more at the end, when the number may be another's
end_process() {
    local pid kept=()
    stop_process "$1"
    for pid in "${processes[@]}"; do [ "$pid" = "$1" ] || kept+=("$pid"); done
    processes=("${kept[@]}")
}
# Logs are written at every request and read by nobody.
empty_logs() { truncate -s 0 "$folder"/*.log "$folder"/*.access 2>/dev/null || true; }

is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_port() {
    local port
    until port=$((20000 + RANDOM % 10000)); ! is_open "$port"; do :; done
    echo "$port"
}
# is_soon SECONDS COMMAND...
is_soon() {
    local tenths=$(($1 * 10))
    shift
    until "$@"; do
        [ $((tenths--)) -gt 0 ] || return 1
        sleep 0.1
    done
}
# wait_until NAME SECONDS COMMAND...: the process of that name is of no use before
wait_until() {
    is_soon "${@:2}" || { tail -n 20 "$folder/$1.log" >&2; die "$1 did not come up"; }
}

# One certificate for localhost, which is its own authority: $folder/tls.pem and tls.key
make_certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        -keyout "$folder/tls.key" -out "$folder/tls.pem" >"$folder/openssl.log" 2>&1 ||
        { cat "$folder/openssl.log" >&2; die "openssl made no certificate"; }
}

# start_provider: $provider_pid, $provider_port, $provider_tls_port
start_provider() {
    local ready=$folder/provider.log
    make_certificate
    run_in_background provider "${pin_rest[@]}" "$binaries/weir-provider" --port 0 --tls-port 0 \
        --cert "$folder/tls.pem" --key "$folder/tls.key" --no-log
    provider_pid=$started
    wait_until provider 15 grep -q '"port"' "$ready"
    provider_port=$(grep -oE '"port":[0-9]+' "$ready" | cut -d: -f2)
    provider_tls_port=$(grep -oE '"tls_port":[0-9]+' "$ready" | cut -d: -f2)
}

# start_redis NAME: behind $folder/NAME.sock
start_redis() {
    run_in_background "$1" "${pin_rest[@]}" redis-server --port 0 --unixsocket "$folder/$1.sock" \
        --save '' --appendonly no --dir "$folder"
    wait_until "$1" 15 test -S "$folder/$1.sock"
}

# write_weir_config FILE NAME PORT REDIS BASE_URL SUBSCRIPTIONS: of a node with one worker
write_weir_config() {
    local name=$2 count=$6 list='' i
    for ((i = 1; i <= count; i++)); do
        list+="{\"name\": \"sub$i\", \"api_key\": \"sk-ant-api03-bench-$name-$i\",
            \"base_url\": \"$5\", \"ca_file\": \"$folder/tls.pem\", \"max_concurrent\": 1000},"
    done
    cat >"$1" <<CONF
{
    "subscriptions": [${list%,}],
    "server": {"host": "127.0.0.1", "port": $3, "workers": 1},
    "redis": {"url": "unix://$folder/$4.sock", "prefix": "$name"},
    "node": {"id": "$name"},
    "rate_limit": {"burst_limit": 100000},
    "logging": {"level": "info", "format": "json"}
}
CONF
}
is_ready() {
    "$binaries/weir-load" --method GET -n 1 -s 10 "http://127.0.0.1:$1/ready" >/dev/null 2>&1
}
