"""The words around the figures in README.md: how each is measured, what stands in the way, what decisions rest on."""

INTRODUCTION = """# Measurements

`make bench` writes this page. `make bench ARGS="ingest callbacks"` measures these parts again and rewrites them.

Each ratio is Runyard to the baseline of the same round. Both sides take turns for three rounds or more, and the median
counts. Absolute figures are worth little: they move by 10 to 40 % from run to run. Clients, servers and database share
the machine. "How each is measured" defines the targets.

## Figures
"""

READING = """
## How each is measured
- **G1** Ingest by SQL: pgbench (prepared, 16 clients), 10 events of about 200 bytes a call. The statement
  `receive_append_only_call`, one run per client, against a plain `INSERT` of the same 10 rows with an identity key. The
  benchmark checks that every call was taken.
- **G2** Ingest with hints: callbacks of 10 events over HTTP, 16 connections, 4 further connections that listen. With
  hints against without.
- **G3** Events per second by callbacks of 10, signed and durable before 200. Against requests per second of an empty
  Flask route under a gunicorn of the same kind and size, which the kernel schedules freely. 16 connections each.
- **G4** The 99th percentile of those callbacks, against the same route with a transaction for each request. A stricter
  comparison is only reported: our own statement with one call per transaction.
- **G5** From the return of a commit (in another process than the server) to the frame at the client, with 200
  WebSockets open. Against insert, NOTIFY and a re-read by a bare listener.
- **G7** From `start_run` to the executor's receipt of the run, against procrastinate's defer to start. And no-op jobs
  per second through our connections, whose commits are not waited for (DECISIONS.md, 53), against procrastinate's own.
- **G8** From SIGKILL of a job worker until another claims its run. Against procrastinate's recipe for stalled jobs,
  swept every 5 s, to the job's next start.
- **G9** The first save of 50,000 files in 10,000 folders: the snapshotter's process from start to last word, with the
  object store for trying out on loopback. Against `tar | zstd -3` into one local file, and `rclone sync` to the same
  store (once, with ours right before it and right after).
- **G10** A save after 20 files in 20 folders were rewritten. Against a process that calls lstat for each path and does
  nothing else, and `restic backup` to a repository on the local disk.
- **G11** A restore into an empty folder, verified and flushed to the disk. Against `zstd -d | tar -x`, which does
  neither, and `restic restore`. Restored files are removed only after all measurements. On ext4, making files takes up
  to ten times as long in the minutes after many were removed: it passes over freed inodes one by one.
- **G14** 10,000 events replayed to a new WebSocket, until the last byte is there (frames are counted afterwards).
  Against `COPY ... TO STDOUT` of the same rows.
- **G15** The start of everything to ready, and a prompt to the agent's first event. A real agent is compared with the
  bare agent (`take_turn`).
- **G17** A person's answer to a demo agent that asked, to the agent's report that it has the answer, at a client that
  follows the session. The agent waits, or is parked while its session worker is active, stopped or removed. The restore
  of 50,000 files is reported apart.
- **G19** The 99th percentile of requests over 4 kept connections. Beside 1,000 peers that have sent half a head, half a
  body or half a chunk to the same port, against none. "At the executor port": both come in at `RUNYARD_WORKER_BIND`.
- **G18** The first page (60 items) of a session's transcript over HTTP, the median of 20 reads. A session with 100,000
  folded events against one with 1,000; ten events make an item.
- **G21** A page of 50 items over HTTP, of one folder of 100,000 small files in a snapshot that the API process has not
  read yet. The memory is what its first such page adds to the process, which keeps the manifest. Later pages are the
  second ones, the median of 20 reads, against those of a folder of 100 files.
- **recovery** Each fault hits a whole stack of `make up` while an agent says something three times a second. Counted
  are the seconds until the supervisor has started the program again, a start is accepted, a new run's agent speaks, the
  hurt run has an event that its executor made after the fault, and `GET /api/why/runs/{runId}` names the cause. They
  are counted from the fault, or from its end where it lasts for a time; `why` always from the fault. "not needed": all
  else had recovered before `why` named a cause. A fault of the store hits a run that must be restored.
  `RUNYARD_TEST_FULL=1` adds the store that is away for two minutes. "wanted" is half of what an earlier release took.
- **neighbours** 300 commands one after the other in a Docker worker, from the output of each to a reader of the
  session. With another worker whose agent burns all that its limits allow (half a processor, 512 MiB, 256 processes),
  and without. Both workers together get one of two processors: the control plane needs the other.
- **Overload** 2,000 peers ask `GET /api/me` again and again, each a second after a refusal, of a process that lets 100
  requests wait. Meanwhile four connections report callbacks; afterwards the median of four connections is compared with
  that of before. All of it shares two cores with its client.
- **G19, sockets** Resident memory and threads of the API process for 5,000 open, idle WebSockets over 500 sessions.
  Then an event of each session is committed, until every socket has its frame.
- **G19, reconnecting** 1,000 tabs (`WS /api/ws`) of one API process, which gets SIGTERM and is started again at the
  same port while 50 events a second are committed. A tab waits as the server's last frame says; one that finds no
  server tries again after 0.5 s, doubling. The benchmark fails when a tab misses an event or gets one twice.
- **portal** Chromium against a whole stack: CPU time is that of the page's main thread (`TaskDuration` in thread
  ticks): scripts, styles, layout and painting. The session is opened from the list, then read back to its first item,
  page by page. Deltas come by callbacks of 10, 200 a second, in paragraphs of 40 words; meanwhile the page follows the
  end. A busy machine makes single tasks look longer.
- **G6** 400 events of one session, committed in batches of 10, until each of 1,000 WebSockets has all frames. Against
  `websockets` on asyncio, which broadcasts messages of the same size. One client thread reads for both. Ours sends the
  frames of a batch in one call, which the baseline cannot; its CPU time is that of the whole API process.
- All of these flush earlier writes to the disk first, so that no flush includes another program's bytes.

## What stands in the way
- **G1** In the database ours takes a quarter more CPU than the plain insert. It starts a longer plan, finds, locks and
  changes the log's head, unpacks arrays, and keeps a key of two columns. Single rounds lie between 0.68 and 0.93.
- **G5** An event passes from the notifier to a reading thread and from there to the hub's. The machine was loaded. In
  turns, the code before the hub gave ratios of 5.2 and 3.3 at p50, and this code gave 2.8 and 3.6.
- **G7** A start writes session, run, event and job. Its claim is a second transaction, its worker's life two more, and
  the executor is called. The baseline inserts one row (DECISIONS.md, 49). Of 10 to 12 ms the start's statements take 4,
  the job's way to its worker 2, the claim 2, the session's worker 2, the run's call 1.
- **G11** Making 50,000 files, one after the other, bounds a restore. It verifies each and flushes them all, which tar
  does not. On a quiet machine, before writes of 256 KiB, three restores of 2 GB in a row took 8.5, 4.2 and 4.7 s.
- **recovery** A frozen executor is given up when its lease of 60 s has ended. Its session is then asked several times
  for its health, which a frozen process never answers. A run that a full disk stops between its claim and its start
  waits until its claim expires (`RUN_QUEUE_LOCK_MS`, 60 s), as the claim cannot be given back meanwhile.
- **2 GB in 8 files**, in two rounds beside `rclone`, `aws` and other programs, against Ceph, on two cores. At a load
  of 9 to 18: saved in 26 s (`rclone` 21, `aws` 18), restored in 15 s (14 and 26). At a load of 23 to 26: saved in 59 s
  (32 and 26; the code of before 70), restored in 33 s (27 and 16; before 48). Processor time depends less on others: a
  save takes 7.1 to 7.6 s (before 11.3, `rclone` 8.8, `aws` 3.4), a restore 4.2 to 4.9 s (before 6.2, the others 5.8).
  Of a save, MD5 takes 3 s, the search for secrets 1.3 and SHA-256 1.2. Ours uploads from 4 threads, so that a busy
  machine gives it a smaller share than `rclone` with its 32 transfers.
- **neighbours** With a whole processor for each of both workers the ratios were 2.2 and 3.1: none was left for the
  control plane. Nothing limits how fast a worker writes to the disk on which PostgreSQL commits.

## Measurements behind decisions
The numbers are those of [DECISIONS.md](../../DECISIONS.md). All were taken once, on the machine of the figures above.

- **17** Five alternating rounds on a busy machine, objects of 8 MB put and got by 4 clients, medians in MB/s. Runyard's
  store 107 and 262, ministack 87 and 104, nanio 129 and 221. Puts spread too widely to call a difference. Under a limit
  on file sizes nanio acknowledged 1,030,000 bytes and kept 1,024,000.
- **43** Pairs on a quiet machine. 50,000 files came back in 2.9 s with the flush during the fetch, and in 3.4 s without
  (medians of four pairs, three of which agree). 2 GB came back in 9.0 s and in 9.4 s (medians of five pairs, which
  differ by more than that).
- **46** The 99th percentile of a command's output at the reader, against the same command alone. In one alternating
  pair it was 1.3 times with periods of 10 ms, and 1.9 times with 100 ms. With half a processor for each of two workers
  it was 1.15 beside a worker that burns all it gets. It was also 1.15 beside one that writes to the disk on which
  PostgreSQL commits (300 commands, medians of three rounds; single rounds reached 1.9). With a whole processor each it
  was 2.2 and 3.1.
- **49** A start takes 2.9 to 3.3 times as long as procrastinate's defer to start (median 11 ms, against 3). One that
  writes session, run, event and job, claims it and calls an executor, with no fence, worker, conversation or provider,
  takes 1.7 to 2.0 times procrastinate's median.
- **52** On 2 cores at 16 connections, 1,300 callbacks per second become 2,500, and their 99th percentile goes from 25
  to 12 ms. With both cores kept busy by other programs it goes from 47 to 30 ms.
"""
