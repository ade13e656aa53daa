# title: Erlang/OTP
# group: Languages and their tools
# does: erlc, a disk_log, dets and mnesia tables, parallel writers (file, raw, delayed_write), rename and delete
# needs: erl erlc
# packages: erlang-base erlang-mnesia
# version: erl -noshell -eval 'io:format("~s.0", [erlang:system_info(otp_release)]), halt().'

work() {
    cat > job.erl <<'ERL'
-module(job).
-export([run/0, look/0]).
w(N) -> F = "f" ++ integer_to_list(N), {ok, D} = file:open(F, [write, raw, binary, {delayed_write, 4096, 50}]),
    [ok = file:write(D, io_lib:format("~p ~p~n", [N, I])) || I <- lists:seq(1, 200)], ok = file:close(D), ok = file:rename(F, F ++ ".done").
run() ->
    Me = self(), [spawn_link(fun() -> w(N), Me ! {done, N} end) || N <- lists:seq(1, 16)], [receive {done, N} -> ok end || N <- lists:seq(1, 16)],
    {ok, L} = disk_log:open([{name, l}, {file, "disk.log"}]), [ok = disk_log:log(L, {entry, I}) || I <- lists:seq(1, 100)], ok = disk_log:sync(L), ok = disk_log:close(L),
    {ok, T} = dets:open_file(t, [{file, "t.dets"}]), [ok = dets:insert(T, {I, I * I}) || I <- lists:seq(1, 300)], ok = dets:delete(T, 7), ok = dets:close(T),
    application:set_env(mnesia, dir, "mnesia"), ok = mnesia:create_schema([node()]), ok = mnesia:start(), {atomic, ok} = mnesia:create_table(m, [{disc_copies, [node()]}]),
    [{atomic, ok} = mnesia:transaction(fun() -> mnesia:write({m, I, I}) end) || I <- lists:seq(1, 50)], stopped = mnesia:stop(),
    ok = filelib:ensure_dir("a/b/c"), ok = file:write_file("a/b/c", "x", [append]), ok = file:make_symlink("a", "soft"), {ok, _} = file:copy("f1.done", "a/copy"), ok = file:delete("f2.done").
look() ->
    {ok, T} = dets:open_file(t, [{file, "t.dets"}, {access, read}]), io:format("~p~n", [dets:info(T, size)]), dets:close(T),
    {ok, L} = disk_log:open([{name, l}, {file, "disk.log"}, {mode, read_only}]), {_, X} = disk_log:chunk(L, start, 1000), io:format("~p~n", [length(X)]), disk_log:close(L),
    application:set_env(mnesia, dir, "mnesia"), mnesia:start(), mnesia:wait_for_tables([m], 5000), io:format("~p~n", [mnesia:table_info(m, size)]).
ERL
    erlc job.erl; erl -noshell -s job run -s init stop
}

check() { sha256sum f*.done a/copy a/b/c; readlink soft; mkdir -p "$S/look"; cp -r . "$S/look/"; (cd "$S/look"; erl -noshell -s job look -s init stop); rm -rf "$S/look"; }
