//! What stands below the flags in `--help`: examples, formats, exit codes.

pub(crate) const SLUIS: &str = r"Examples:
  sluis demo
  sluis listen --did jis:home:hub --trust jis:home:sensor=0.9 --allow-legacy
  sluis ping jis:home:hub 127.0.0.1:7150 --intent temperature.read \
      --did jis:home:sensor

Exit codes: 0 all went well, 1 it did not, 2 the command line or the
configuration is wrong.";

pub(crate) const LISTEN: &str = r#"Examples:
  sluis listen --did jis:home:hub --trust jis:home:sensor=0.9 --allow-legacy
  sluis listen --did jis:home:hub --bind [::1]:0 --json --duration 60
  sluis listen --config hub.toml --reply '{"celsius":21.5}'
  sluis listen --did jis:home:hub --allow-legacy --capture hub.jsonl
  sluis listen --did jis:home:hub --key hub.key --state hub-state \
      --pin jis:home:sensor=sensor.pub --trust jis:home:sensor=0.9
  sluis listen --did jis:home:hub --key hub.key --state hub-state --registry
  sluis listen --did jis:home:lamp --key lamp.key --state lamp-state \
      --capability light --join-file token --at 192.0.2.1:7150

Nothing stamped before the start is taken, for this node does not remember what it
took in before: a sender whose clock is behind waits until it has passed that
time, or --accept-older TIME lets it in and, once, a replay of what was sent in that time.
What bears a stamp ahead of our clock, which may be 5 s at most, can be replayed once
after a restart within those seconds, and anything if the clock was set back.

With --state nothing that was taken in before a restart is taken in after it, whatever
killed this node and whatever the clock shows: a mark is on the disk before a ping stamped
above it is taken in, and nothing up to the mark is taken in afterwards. A ping that
comes alone waits for that write; where they keep coming the mark is written about
once a second, 2 s ahead, so that after any restart fresh pings are refused for 2 s at most (and
as much longer as the clock of a sender was ahead, or ours was set back). While the
disk is full traffic goes on without the mark, as without --state. Trust that is set
while it runs is kept, and counts before flags and configuration from then on, until
a configuration that is read again says something new about that name. With --key, too, it
is kept that there were sessions with a pinned key, without which nothing goes to it
then, and which start of this node speaks: of two that run from copies of one
directory peers let in neither, and say so, until one is started anew.

--trust-first-use believes whoever comes first under a name: the first key that signs
validly is pinned, and kept before it is answered; another key is turned away from
then on. Never for a sender that is ROOD, never in place of a pin, never a key that
has been retired, and for 60 names a minute at most; who comes beyond waits.

--capture does not go with --key: a recording replays from what is in it, so the
secret key would have to be, and whoever is shown a recording would be the node.

A ping is judged by the rules first, then by the trust in its sender: from 0.7
it is accepted (GROEN), from 0.3 it waits for a decision (GEEL), below there is
silence (ROOD). Unsigned pings wait at best, unless --allow-legacy names their
sender. Of a name that a key is pinned to only what that key signs is believed, or what
comes through an encrypted session with it (which `listen` takes part in with --key):
anything else is turned away. A ping that is signed by a key nobody has pinned waits at
best; `approve N --pin` lets it in and pins the key. Until an address has proven itself it is sent at most three times the
bytes that it sent, so an answer has to fit.

With --discover devices that call on the local network and that this node does not
accept wait like pings: `approve N` pins the key that signed the call and trusts its
sender as far as it takes to be accepted, `reject N` asks no more as long as it is there.
A rule of --auto-vouch, a TOML file, does the same without a person:
  [[rules]]
  name = "sensors"
  device_type = "sensor"                    # all that a rule says must hold
  required_capabilities = ["temperature"]
  source_pattern = "jis:home:.*"            # its name begins with this pattern
  pod_id = "kitchen"                        # told with the event
Calls are claims: without a key that signs them no rule lets anybody in, unless
--allow-legacy names the sender.

--metrics serves on a thread of its own: whoever asks wakes the node, which copies its
counters, and nothing of it is waited for. There are datagrams by what became of them
and by reason, tables and queues with what they may hold, peers, sessions and
handshakes, how long the store takes, output that was lost, and of a relay what was
passed on, what was dropped and whose quota was used up. /healthz says 200 once the
node's loop has turned after it was asked, and 503 when it has not within a second.

Standard input takes one command a line; its end does not end `listen`. So does
the socket of --control, with `sluis ctl`:
  approve N|PACKET-ID  let a waiting ping in, by the number that it was given or,
                       where only one waits under it, by its packet id
  reject N|PACKET-ID   turn it away
  list                 print the pings that wait, and their numbers
  approve N --pin      and pin its key to its sender
  trust DID=SCORE      trust a DID from now on
  pin DID KEY          believe of a name only what this key signs
  unpin DID            forget which key speaks for it
  accept FILE          take in the statement of a key (`sluis key rotate`, `key
                       revoke`); it may also come as the payload of a ping with the
                       intent overlay.key
  vouch FILE           take in a signed vouch, or the revocation of one (`sluis vouch`)
  revoke ID            take a signed vouch back
  token new [--uses N] [--ttl TIME] [--trust SCORE]
                       make a token that lets devices join (see `sluis token`), and
                       print it once it is kept in --state
  token list           print the tokens, without their secrets
  token revoke ID      let nobody in by it from the next packet on
  stats                print what was counted so far
  help                 print these commands
  quit                 end with the summary, as SIGINT and SIGTERM do
SIGHUP reads the configuration again, where there is one, and opens the file of
--log anew: trust, legacy patterns, rules and replies are as it says from then
on; what cannot change while it runs is said. Without one it ends `listen`.

--json prints these objects:
  {"event":"listening","did","addr","fingerprint"}
      with --metrics also where they are, as "metrics"
      of a relay also "relays": all, or legacy where it has no key
  {"event":"ping","wait","source_did","target_did","packet_id","intent",
   "purpose","payload","zone","decision","trust_score","rule","from","auth",
   "fingerprint"}
      auth: none, or proven by the key with this fingerprint (else null): signed, or
      session where it came through an encrypted session
      wait: the number of a ping that waits for a decision, else null
  {"event":"found","did","addr","capabilities","device_type","fingerprint","zone",
   "rtt_ms"}, {"event":"gone","did","addr"}
      with --discover: who is on the local network; see `sluis discover --help`
  {"event":"beacon","wait","did","fingerprint","device_type","capabilities","from",
   "decision","rule","pod"}
      with --discover: a device calls that is not accepted yet. decision: pending where
      it waits under the number in wait, auto_vouched where the rule of --auto-vouch in
      rule lets it in, unproven where it signs nothing, so that there is no key to pin
  {"event":"decided","wait","packet_id","source_did","intent","decision",
   "answered"}
      decision: accept, reject, expired when nobody decided within 300 s, or
      displaced when it made way for the ping of somebody better known
  {"event":"pin","source_did","fingerprint","change"}, {"event":"unpin",...},
  {"event":"trust","source_did","trust_score","change"}
  {"event":"retired","fingerprint","successor","change"}
      change: the number of the change, to be kept in --state; null without one;
      the pin of a first key also has "origin":"first_use"
  {"event":"kept","change","ok","reason"}
      changes up to this number are on the disk, or could not be brought there
  {"event":"session","did","fingerprint","from","state","suite","reason"}
      state: up, rekeyed, moved (to the address in from), clone (another node has
      spoken with the same key than the one at "elsewhere": the state was copied),
      or down for the reason no_answer, silent, closed, revoked, rood (not let in any
      more), clone (two nodes with its key) or cloned (two with ours; else null);
      suite: 1 or 2, see --suite
  {"event":"registered","did","endpoint","seq","expires"}, {"event":"moved","did",
   "from","to"}, {"event":"joined","did","token","fingerprint","trust_score"},
  {"event":"verified","did","verified","trust_score","fingerprint","rtt_ms","addr"},
  {"event":"vouched","id","voucher_did","expires","vouched"}, {"event":"vouch_revoked","id"}
      what devices did in the overlay, and this node at its hub (see `sluis overlay`,
      `sluis token` and `sluis vouch`)
  {"event":"token","id","token","uses","used","expires","trust_score"},
  {"event":"token_revoked","id"}
      for these commands, see `sluis token --help`; both are told once they are on the
      disk. The secret in "token" is printed when it is made, and goes to no --log
  {"event":"rejected","reason","count"}
      at most once a second for each reason: how many since the last time
  {"event":"summary","received","accepted","pending","rejected":{reason:count},
   "elapsed_s"}
  {"event":"stats",...}
      for the command `stats`, otherwise as the summary
  {"event":"waiting",...}, {"event":"list",...}, {"event":"help",...}
      for these commands, see `sluis ctl --help`
  {"event":"reloaded","trust","legacy","rules","replies"}
      the configuration was read again: how many of each there are
  {"event":"lost_output","count"}
      so many lines are missing here: nobody read them in time; the summary
      has their number as "lost_output"
Each bears its time as "t" (RFC 3339). Lines for people begin with theirs.
--record writes a token for every ping that passes the gate, every decision,
heartbeat, peer that comes or goes, and change of trust; for who registers, moves,
is challenged or joins; and for every join token and vouch that is made or revoked.
A ping that is turned away is counted and leaves none. Answers do not wait for the
disk. The summary then also has "record":{"recorded","lost"}: what is on the disk,
and what is not because the disk was full or too slow.

What JSON has no form for in a payload is written as: "NaN", "Infinity" and
"-Infinity", {"bytes":HEX}, {"ext":CODE,"bytes":HEX}. A payload that JSON readers
fail over or change, or that RFC 7493 (I-JSON) forbids, is written whole as
{"text":JSON}: more than 64 levels deep, a key twice, integers beyond 2^53 - 1,
numbers that no float holds to the last digit that was sent (1e400, 1e-400), lone
surrogates and noncharacters in a text.
Heartbeats are no pings and are not counted.

Nothing that is not read holds the node up; what nobody reads in time is lost,
and counted. A reader that leaves ends `listen` with exit code 1. A signal ends it
within a second, a signal that was ignored when it began stays ignored.

The configuration file (`sluis config template` prints one with every setting);
everything is optional, unknown fields are errors:
  did = "jis:home:hub"
  bind = "0.0.0.0:7150"
  allow_legacy = ["jis:home:*"]
  reply = '{"ok":true}'          # JSON; where no entry of `replies` matches
  trust = { "jis:home:sensor" = 0.9 }
  thresholds = { groen = 0.7, rood = 0.3, otherwise = "GEEL" }
      # otherwise: the best zone of a ping that no rule matches
  caps = { peers = 65536, waiting = 1024 }
      # also: peer_bytes, waiting_per_sender, waiting_per_name,
      # waiting_per_address, events, event_bytes, transmits, transmit_bytes,
      # replies
  [[rules]]                      # the highest priority that matches counts
  name = "doors wait"
  zone = "GEEL"                  # GROEN, GEEL or ROOD
  priority = 80                  # 50 when left out
  source_did = "jis:home:*"      # conditions, all must hold: patterns for
  intent = "door.*"              # source_did and intent; also ping_type,
                                 # pod_id (one pod, no pattern) or
                                 # no_pod = true, min_trust (0 to 1); a rule
                                 # that means every ping says any = true. A
                                 # star is the first or the last character
  [[replies]]                    # the first that matches counts
  intent = "temperature.*"
  reply = '{"celsius":21.5}'"#;

#[cfg(unix)]
pub(crate) const CTL: &str = r#"Examples:
  sluis listen --config hub.toml --control /run/user/1000/sluis.sock
  sluis ctl /run/user/1000/sluis.sock list
  sluis ctl /run/user/1000/sluis.sock approve 17
  sluis ctl --json /run/user/1000/sluis.sock stats
  sluis ctl /run/user/1000/sluis.sock token new --uses 50 --ttl 24h

Commands:
  approve N|PACKET-ID  let a waiting ping in
  reject N|PACKET-ID   turn it away
  list                 print the pings that wait, and their numbers
  trust DID=SCORE      trust a DID from now on
  token new            make a join token; --uses N, --ttl TIME, --trust SCORE
  token list           print the join tokens, without their secrets
  token revoke ID      let nobody in by this token from now on
  stats                print what was counted so far
  help                 print these commands (there are more)
  quit                 end with the summary

Whoever may open the socket may decide: it is made with mode 0600. Flags stand
before the path.

--json prints the objects of `listen`: stats, decided, and
  {"event":"waiting","wait","packet_id","source_did","intent","from","age_s"}
  {"event":"list","waiting"}
  {"event":"trust","source_did","trust_score","change"}
  {"event":"token","id","token","uses","used","expires","trust_score"}
  {"event":"token_revoked","id"}
  {"event":"help","command","does"}
What changes a token is answered once it is on the disk.

Exit codes: 0 it was done, 1 it was not, or no node answers, 2 the command line
is wrong."#;

pub(crate) const REPLAY: &str = r#"Examples:
  sluis listen --did jis:home:hub --allow-legacy --capture hub.jsonl
  sluis replay hub.jsonl
  sluis replay hub.jsonl --pcap hub.pcapng && tshark -r hub.pcapng

A recording holds every input of a node (datagrams, times, commands) and every
output. The same core is fed the same inputs and must give the same outputs, so
a recording from elsewhere tells whether this build behaves as that one did, and
if not, where it first differs. It holds the seed of the node and all that was
said to it: keep it as secret as a key.

What it proves: that these inputs, in this order, give these outputs, and that the
file goes on to its end, if it has an end, with as many lines as that counts (those
of earlier versions count none). It proves nothing about who wrote the file: whoever
changes it can change the count, too, and then a line that only looked at the node,
such as a poll for a notice, may be missing. Who must rely on a file keeps its
SHA-256 elsewhere.

--json prints these objects:
  {"event":"difference","line","recorded","replayed"}
      the first line of the recording that came out different
  {"event":"summary","same","lines","inputs","datagrams","cut"}
      datagrams: how many went to --pcap, null without it; cut: whether the end
      of the recording is missing, null where it cannot say (those of earlier
      versions) or something came out different
Each bears its time as "t" (RFC 3339).

Exit codes: 0 every output is as recorded, 1 one is not, or the recording is cut
or cannot be read to its end, 2 the command line is wrong."#;

pub(crate) const PING: &str = r#"Examples:
  sluis ping jis:home:hub 127.0.0.1:7150 --intent temperature.read
  sluis ping jis:home:hub [::1]:7150 --did jis:home:sensor --intent door.open \
      --payload '{"door":"north"}' --timeout 60
  sluis ping jis:home:hub 192.0.2.7:7150 --intent temperature.read -c 0 -i 500ms
  sluis ping jis:home:hub hub.local:7150 --intent load.test --quiet \
      --count 100000 --in-flight 64 --interval 0
  sluis ping jis:home:hub 192.0.2.7:7150 --intent door.open --did jis:home:sensor \
      --key sensor.key --pin hub.pub --session require

  sluis ping jis:home:sensor --at jis:home:hub@192.0.2.1:7150 --intent temperature.read \
      --key phone.key --did jis:home:phone

Without an address the name is looked up: what --state knows, or else the registries of
--at are asked. The ping goes out only after the key of the name (the pinned one, or that
of its signed record) has answered a challenge there, and only answers of that key count;
{"event":"resolved",...} says what was found, {"event":"failed","did","reason"} why
nothing was sent (see `sluis overlay --help`). A registry of --at is asked only where a
key is pinned to it, --trust-first-use pins that of its first answer, or --allow-legacy
says that it signs nothing.

With --key and --pin the first ping begins an encrypted session and follows its
handshake, or rides in it with --suite 1. Where nobody answers that within 3 s (or a third
of --timeout) the pings are signed instead, never once there was a session (with
--state: in any run); --session require sends nothing without one. The session is
closed at the end. Sessions are in suite 2 where both ends speak it, so that what is
recorded today stays closed to a quantum computer of tomorrow; nobody on the way
can have them use suite 1. But whoever drops what sessions send, before the first one
ever was, has the pings go signed and readable: with --session require they do not go.
--suite 1 at one end is for paths that do not carry datagrams of 1,200 bytes.

With --key and --state this node shows which start of it speaks: of two that run from
copies of one directory peers let in neither, and say so, until one is started anew.

A host name stands for its first address of the family of --bind; without
--bind for its first IPv4 address, or else its first IPv6 address.

--json prints these objects:
  {"event":"response","packet_id","seq","decision","zone","trust_score",
   "payload","rtt_ms","responder_did","from","auth","fingerprint"}
      auth: none, or proven by the key with this fingerprint (else null): signed, or
      session where it came through an encrypted session
      after a pending answer the decision may follow, with the same seq
  {"event":"timeout","seq"}
      no answer, or after a pending one no decision
  {"event":"pin","source_did","fingerprint","origin"}
      with --trust-first-use, the key of the first answer: first_use
  {"event":"session","did","fingerprint","from","state","suite","reason"}
      state: up, rekeyed, moved (to the address in from), clone (another node has
      spoken with the same key than the one at "elsewhere": the state was copied),
      or down for the reason no_answer, silent, closed, revoked, rood (not let in any
      more), clone (two nodes with its key) or cloned (two with ours; else null);
      suite: 1 or 2, see --suite
  {"event":"unsent","seq","reason"}
      it did not leave this machine, and is not counted as sent
  {"event":"hint","reason","addr"}
      port_unreachable: the network says (ICMP; anybody on the way can) that
      nothing listens there; the pings go on waiting. Told once, on Linux
  {"event":"summary","sent","received","lost","accept","pending","reject",
   "elapsed_s","per_second","rtt_ms":{"min","p50","p90","p99","max"}}
Every ping received counts once as accept, pending or reject, by the last that
was heard of it; lost are those without any answer. Round-trip times are those
of first answers in milliseconds, percentiles to 1 part in 1,000; null when
there are none. With --count 0 all pings are those sent until a signal ends it.

A reader of the output who does not keep up holds back the next pings.

Exit codes: 0 every ping was accepted (with --no-wait: answered), 1 anything
else, 2 the command line is wrong."#;

pub(crate) const DEMO: &str = r#"Examples:
  sluis demo
  sluis demo --runtime smol
  sluis demo --json
  sluis demo --scenario cgnat

Everything happens on the loopback interface, with real UDP sockets. With
--json, the objects of `listen` (of the hub) and of `ping` (of the sensors; seq
counts the pings of the story) are printed as they happen, and around each step
  {"event":"step","step","title","ok"}
      ok: null before the step, then true or false: whether it went as told
The last line is the summary of the hub. The scenario cgnat (the same as `sluis overlay
demo`) prints {"event":STEP,"ok","what"} for each step, and a summary.

Exit codes: 0 everything went as told, 1 it did not."#;
