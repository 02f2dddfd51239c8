"""Which of Node's own options take the next argument as their value."""

VALUE_OPTIONS = frozenset(
    """
    -C -r
    --allow-fs-read --allow-fs-write
    --bench-isolation --bench-name-pattern --bench-reporter --bench-reporter-destination --bench-samples --bench-warmup
    --build-sea --build-snapshot-config --conditions
    --cpu-prof-dir --cpu-prof-interval --cpu-prof-name
    --debug-port --diagnostic-dir --disable-proto --disable-warning --dns-result-order
    --env-file --env-file-if-exists --es-module-specifier-resolution
    --experimental-default-type --experimental-loader --experimental-package-map
    --experimental-policy --experimental-sea-config --experimental-specifier-resolution
    --experimental-test-isolation --experimental-test-tag-filter
    --heap-prof-dir --heap-prof-interval --heap-prof-name --heapsnapshot-near-heap-limit --heapsnapshot-signal
    --icu-data-dir --import --input-type --inspect-port --inspect-publish-uid
    --loader --localstorage-file
    --max-http-header-size --max-old-space-size-percentage --network-family-autoselection-attempt-timeout
    --openssl-config --policy-integrity
    --redirect-warnings --report-dir --report-directory --report-filename --report-signal --require --run
    --secure-heap --secure-heap-min --security-revert --security-reverts --snapshot-blob --stack-trace-limit
    --test-concurrency --test-coverage-branches --test-coverage-exclude --test-coverage-functions
    --test-coverage-include --test-coverage-lines --test-global-setup --test-isolation --test-name-pattern
    --test-random-seed --test-reporter --test-reporter-destination --test-rerun-failures --test-shard
    --test-skip-pattern --test-timeout
    --title --tls-cipher-list --tls-keylog
    --trace-event-categories --trace-event-file-pattern --trace-require-module
    --unhandled-rejections --use-largepages --v8-pool-size --vfs-load --vfs-mount --watch-kill-signal --watch-path
    """.split()  # noqa: SIM905  quotes around ninety words would hide them
)
"""Of Node 18 to 26, as ``internalBinding('options')`` lists them, aliases included; a test compares it with each major.

Left out: ``--eval``, since what follows it is code and names nothing, and ``--experimental-config-file``, which takes
the next argument on Node 22 only. V8's own options take a value only after ``=``: V8 refuses
``--max-old-space-size 100``.
"""
EVAL_OPTIONS = frozenset({"-e", "--eval", "-p", "--print", "-pe"})
