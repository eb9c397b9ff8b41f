// Made from crates/protocol/src/local.rs by `cargo xtask bindings`. Changes belong there.

/**
 * A graphics adapter as its driver names it.
 */
export type Adapter = { 
/**
 * Name, for example "NVIDIA GeForce RTX 3060".
 */
name: string, 
/**
 * `vulkan`, `metal` or `dx12`.
 */
backend: string, 
/**
 * Driver name and version.
 */
driver: string, 
/**
 * PCI vendor.
 */
vendor_id: number, 
/**
 * PCI device.
 */
device_id: number, 
/**
 * Whether the "card" is the processor.
 */
software: boolean, 
/**
 * Largest storage binding in bytes.
 */
max_binding_bytes: number, 
/**
 * Device memory in bytes where the driver tells.
 */
memory_bytes: number | null, 
/**
 * What programs may ask of it, in order.
 */
features: Array<Feature>, };

/**
 * What comes back.
 */
export type Answer = { "answer": "done" } | { "answer": "status", 
/**
 * All of it.
 */
status: Status, } | { "answer": "preferences", 
/**
 * All of them.
 */
preferences: Preferences, } | { "answer": "checks", 
/**
 * In the order in which one becomes the headline.
 */
checks: Array<Check>, } | { "answer": "earnings", 
/**
 * The page.
 */
earnings: Earnings, } | { "answer": "text", 
/**
 * Suggested name.
 */
file_name: string, 
/**
 * Contents.
 */
text: string, } | { "answer": "privacy", 
/**
 * The page.
 */
privacy: Privacy, } | { "answer": "sent_message", 
/**
 * The message; empty when it is no longer kept.
 */
message: SentMessage | null, } | { "answer": "wallet", 
/**
 * The page.
 */
wallet: WalletView, } | { "answer": "quote", 
/**
 * The price.
 */
quote: Quote, } | { "answer": "vault", 
/**
 * The decision.
 */
view: VaultView, } | { "answer": "words", 
/**
 * 12 or 24 words.
 */
words: SecretText, };

/**
 * Light or dark.
 */
export type Appearance = "system" | "light" | "dark";

/**
 * earned here + earned on other devices + received otherwise = balance + withdrawn + fees + pending, in tokens.
 */
export type BalanceIdentity = { 
/**
 * By this device's receipts.
 */
earned_here: string, 
/**
 * By other devices bound to the same address.
 */
earned_elsewhere: string, 
/**
 * Came to the address in other ways.
 */
received: string, 
/**
 * Ready to withdraw.
 */
balance: string, 
/**
 * Has left to outside addresses.
 */
withdrawn: string, 
/**
 * Paid to relayers.
 */
fees: string, 
/**
 * Still checking, or not yet in a closed epoch.
 */
pending: string, };

/**
 * The measurement of this machine. A figure that is missing was not reached yet, is not offered by this card, or failed
 * as `error` says.
 */
export type Benchmark = { 
/**
 * Step that runs, none when it is over.
 */
running: BenchmarkStep | null, 
/**
 * Thousandths of the whole.
 */
permille: number, 
/**
 * When it ended.
 */
finished_at: UnixMillis | null, 
/**
 * What computes.
 */
adapter: Adapter | null, 
/**
 * 32-bit float multiply-adds, 10^9 operations per second; a multiply-add is two.
 */
float: Rate | null, 
/**
 * 32-bit integer multiply-adds, 10^9 operations per second; a multiply-add is two.
 */
integer: Rate | null, 
/**
 * 16-bit float multiply-adds, 10^9 operations per second, where the card offers them.
 */
half: Rate | null, 
/**
 * Memory copy, 10^9 bytes per second, read and written bytes both counted.
 */
memory: Rate | null, 
/**
 * From main memory to the card, 10^9 bytes per second.
 */
to_card_gbytes: number | null, 
/**
 * From the card to main memory, 10^9 bytes per second.
 */
from_card_gbytes: number | null, 
/**
 * From handing the card a piece of nearly no work to its end, in microseconds.
 */
dispatch_micros: number | null, 
/**
 * How the card held its speed.
 */
held: Held | null, 
/**
 * Idle round trip to the coordinator in milliseconds.
 */
rtt_millis: number | null, 
/**
 * Upload in bit/s.
 */
up_bits_per_s: number | null, 
/**
 * Download in bit/s.
 */
down_bits_per_s: number | null, 
/**
 * Why a part is missing.
 */
error: LocalError | null, };

/**
 * Steps of the measurement.
 */
export type BenchmarkStep = "opening" | "float" | "integer" | "half" | "memory" | "transfer" | "sustained" | "latency" | "download" | "upload";

/**
 * The graphics card now.
 */
export type CardLane = { 
/**
 * Whether it computes for others now.
 */
sharing: boolean, 
/**
 * The adapter, once a worker has opened it.
 */
adapter: Adapter | null, 
/**
 * Walls round the worker.
 */
confinement: Confinement | null, 
/**
 * Share of the card that may be used, percent.
 */
limit_percent: number, 
/**
 * Share of the time that it works now, percent: less than the limit while somebody is here or it is warm.
 */
duty_percent: number | null, 
/**
 * It works in light mode: somebody is here, and has its smaller share allowed.
 */
light: boolean, 
/**
 * Power in watts, where it can be read.
 */
watts: number | null, 
/**
 * Temperature in °C, where it can be read.
 */
celsius: number | null, 
/**
 * Bundles finished today.
 */
bundles_today: number, 
/**
 * Slices finished today.
 */
slices_today: number, 
/**
 * How long the last hand-back took, in milliseconds, as observed from outside the worker.
 */
yielded_in_millis: number | null, 
/**
 * 99th percentile of the hand-backs of 30 days, in milliseconds.
 */
yield_p99_millis: number | null, };

/**
 * Memory of a card.
 */
export type CardMemory = { 
/**
 * In use by all programs, in bytes.
 */
used_bytes: number, 
/**
 * All of it, in bytes.
 */
total_bytes: number, };

/**
 * A value from a card's own sensor, or why there is none.
 */
export type CardReading<T> = { "known": T } | { "unknown": Unread };

/**
 * What a card's own sensors say at one moment.
 */
export type CardState = { 
/**
 * Temperature of the chip in °C.
 */
celsius: CardReading<number>, 
/**
 * Power of the whole card in watts.
 */
watts: CardReading<number>, 
/**
 * Its memory.
 */
memory: CardReading<CardMemory>, 
/**
 * What keeps its clock below the highest; empty where nothing does.
 */
throttles: CardReading<Array<Throttle>>, };

/**
 * One rule, and what it says now: a line of "why not now?".
 */
export type Check = { 
/**
 * The reason that this rule gives when it holds.
 */
code: ReasonCode, 
/**
 * How it stands.
 */
verdict: Verdict, 
/**
 * The figure seen (a percentage, °C, minutes, MB), where there is one.
 */
seen: number | null, 
/**
 * The limit that the figure is held against.
 */
limit: number | null, 
/**
 * The reason in full, while it holds.
 */
reason: Reason | null, };

/**
 * What a client sends.
 */
export type ClientFrame = { "type": "hello", 
/**
 * Build of the client; must equal the agent's.
 */
build: string, 
/**
 * What it is.
 */
role: Role, } | { "type": "request", 
/**
 * Chosen by the client, echoed in the answer.
 */
id: number, 
/**
 * What is asked.
 */
command: Command, };

/**
 * What a client may ask. Commands that move money or show secrets need [`Role::Vault`].
 */
export type Command = { "command": "watch_status" } | { "command": "watch_picture" } | { "command": "status" } | { "command": "snooze", 
/**
 * For how long.
 */
span: Snooze, } | { "command": "resume" } | { "command": "share_now" } | { "command": "preferences" } | { "command": "set_preferences", 
/**
 * All of them.
 */
preferences: Preferences, } | { "command": "checks" } | { "command": "measure" } | { "command": "cancel_measure" } | { "command": "finish_welcome", 
/**
 * Whether Hearth starts with the session.
 */
autostart: boolean, } | { "command": "earnings", 
/**
 * First instant.
 */
from_at: UnixMillis, } | { "command": "statement" } | { "command": "privacy", 
/**
 * First instant.
 */
from_at: UnixMillis, 
/**
 * The instant after the last one; empty for up to now.
 */
until_at: UnixMillis | null, } | { "command": "sent_message", 
/**
 * [`EgressView::row`] of its sending.
 */
row: number, } | { "command": "delete_history" } | { "command": "journal", 
/**
 * In which form.
 */
format: ExportFormat, } | { "command": "wallet" } | { "command": "quote", 
/**
 * Recipient as typed.
 */
to: string, 
/**
 * Amount as typed, in tokens with a decimal point; empty withdraws all.
 */
amount: string, } | { "command": "open_vault", 
/**
 * Which decision.
 */
purpose: VaultPurpose, } | { "command": "join_network", 
/**
 * Path of the file.
 */
path: string, } | { "command": "vault_view" } | { "command": "vault_decide", 
/**
 * The decision with its secrets.
 */
decision: VaultDecision, } | { "command": "open_window" } | { "command": "quit" };

/**
 * Which walls stand around a worker.
 */
export type Confinement = { 
/**
 * Files outside the driver's are out of reach.
 */
files: Wall, 
/**
 * Sockets cannot be opened.
 */
network: Wall, 
/**
 * Processes cannot be started.
 */
processes: Wall, 
/**
 * Memory is limited.
 */
memory: Wall, 
/**
 * The process ends with its parent.
 */
parent: Wall, };

/**
 * For what credit is given. Bare availability, claims of hardware and benchmarks are never credited.
 */
export type CreditKind = "computed" | "audited" | "delivered" | "held" | "revoked";

/**
 * The earnings page.
 */
export type Earnings = { 
/**
 * Sum of the span.
 */
sum: Money, 
/**
 * Latest day first.
 */
days: Array<EarningsDay>, 
/**
 * Why the present day has nothing, where that is so.
 */
no_work: NoWork | null, };

/**
 * One local day.
 */
export type EarningsDay = { 
/**
 * Local date, `2026-11-23`.
 */
date: string, 
/**
 * Time the card shared, in seconds.
 */
shared_seconds: number, 
/**
 * The day's amounts.
 */
money: Money, 
/**
 * When the last receipt of the day is final.
 */
final_at: UnixMillis | null, 
/**
 * Receipts, latest first.
 */
receipts: Array<ReceiptView>, };

/**
 * One sending.
 */
export type EgressView = { 
/**
 * Names it among the sendings of this journal.
 */
row: number, 
/**
 * When it began.
 */
at: UnixMillis, 
/**
 * Code of the purpose.
 */
purpose: string, 
/**
 * Host and port.
 */
destination: string, 
/**
 * What it was about.
 */
object: string, 
/**
 * The job that it served, where it served one whose name has been read.
 */
job: JobName | null, 
/**
 * Bytes sent.
 */
sent_bytes: number, 
/**
 * Bytes received.
 */
received_bytes: number, 
/**
 * How the system's count stands to ours.
 */
witness: Witness, 
/**
 * Whether what it said is kept.
 */
kept: boolean, };

/**
 * Failures of local requests.
 */
export type ErrorCode = "other_build" | "bad_token" | "not_allowed" | "malformed" | "busy" | "preference" | "wallet_missing" | "wallet_unreadable" | "wallet_exists" | "wrong_passphrase" | "weak_passphrase" | "bad_words" | "quiz_failed" | "address_malformed" | "address_checksum" | "address_forbidden" | "amount_malformed" | "amount_too_precise" | "amount_above_balance" | "amount_below_fee" | "withdrawal_pending" | "quote_expired" | "chain_unreachable" | "wrong_chain" | "unknown_contract" | "coordinator_unreachable" | "coordinator_version" | "no_network" | "profile_signature" | "profile_counter" | "profile_expired" | "profile_unreadable" | "disk_full" | "preferences_unreadable" | "journal_unreadable" | "no_driver" | "no_display" | "internal";

/**
 * Forms of an export.
 */
export type ExportFormat = "csv" | "json";

/**
 * What kind of work it is; the app has a picture for some kinds.
 */
export type Family = "signal_search" | "benchmark" | "conformance" | "rendering" | "matrix_product" | "other";

/**
 * What a program may ask of a device.
 */
export type Feature = "f16";

/**
 * Float arithmetic without a pause, against the best short run.
 */
export type Held = { 
/**
 * Mean speed over the whole time in percent of the best run, at most 100.
 */
share_percent: number, 
/**
 * For how long, in seconds.
 */
seconds: number, 
/**
 * The card's sensors before the first program ran.
 */
before: CardState, 
/**
 * The card's sensors while it still computed, at the end.
 */
at_end: CardState, };

/**
 * A found line.
 */
export type HitView = { 
/**
 * Frequency in Hz.
 */
frequency_hz: number, 
/**
 * Drift in micro-Hz per second.
 */
drift_micro_hz_s: number, 
/**
 * Signal to noise in thousandths.
 */
snr_milli: number, };

/**
 * An image that grows while its tiles are computed, small enough to be sent after each of them.
 */
export type Image = { 
/**
 * Columns of this copy, at most 256.
 */
columns: number, 
/**
 * Rows of this copy, at most 256.
 */
rows: number, 
/**
 * Red, green, blue and opacity of each pixel, row by row, base64. What this home has not computed is transparent.
 */
rgba: string, 
/**
 * Pixels across of the image itself.
 */
width: number, 
/**
 * Pixels down of the image itself.
 */
height: number, 
/**
 * Tiles that this home has computed.
 */
tiles_done: number, 
/**
 * Tiles of the image; other homes compute the rest.
 */
tiles_total: number, };

/**
 * How a job is called.
 */
export type JobName = { 
/**
 * Its title.
 */
title: string, 
/**
 * Its publisher's name.
 */
publisher: string, };

/**
 * What is kept word for word.
 */
export type KeptMessages = { 
/**
 * Messages kept now.
 */
count: number, 
/**
 * Their size.
 */
bytes: number, 
/**
 * Most messages kept; the oldest go first.
 */
at_most: number, 
/**
 * Largest size of all of them together.
 */
at_most_bytes: number, 
/**
 * A longer body is kept as its size and hash only.
 */
body_at_most_bytes: number, };

/**
 * A failure that a person can act on; the page has a sentence for each code.
 */
export type LocalError = { 
/**
 * Which failure.
 */
code: ErrorCode, 
/**
 * For support and logs; never shown alone.
 */
detail: string, };

/**
 * A found line in a waterfall.
 */
export type Mark = { 
/**
 * The line.
 */
hit: HitView, 
/**
 * Column in the first row.
 */
first_column: number, 
/**
 * Column in the last row.
 */
last_column: number, };

/**
 * Amounts in tokens as decimal text with all digits; `net` may start with a minus sign.
 */
export type Money = { 
/**
 * Unit, for example `EMBER`.
 */
unit: string, 
/**
 * Credit by receipts.
 */
paid: string, 
/**
 * Electricity in tokens, where power and both prices are known.
 */
electricity: string | null, 
/**
 * Paid less electricity, where electricity is known.
 */
net: string | null, };

/**
 * Why a heartbeat got no lease.
 */
export type NoWork = "none_offered" | "enough_leased" | "device_class" | "suspended" | "class_held";

/**
 * How a body is made readable.
 */
export type Notation = "empty" | "cbor" | "text" | "bytes";

/**
 * Something a person should know or do.
 */
export type Notice = { 
/**
 * Which.
 */
code: ErrorCode, 
/**
 * When it came up.
 */
at: UnixMillis, 
/**
 * A path or figure that belongs to it.
 */
detail: string, };

/**
 * A picture of the present work, of the kind that fits its family.
 */
export type Picture = { "kind": "waterfall" } & Waterfall | { "kind": "image" } & Image;

/**
 * The owner's rules. Every change takes effect at once.
 */
export type Preferences = { 
/**
 * Sharing at all.
 */
enabled: boolean, 
/**
 * Idle time before the card is shared, in seconds, 0 to 7200.
 */
idle_after_seconds: number, 
/**
 * Share of the card while somebody is here, percent, 0 to 50; 0 pauses it.
 */
light_percent: number, 
/**
 * Share of the card, percent, 10 to 100.
 */
card_percent: number, 
/**
 * Share of the card's memory that work may take, percent, 10 to 100.
 */
card_memory_percent: number, 
/**
 * Temperature of the card that is held, °C, 50 to 95: it works less as it comes near.
 */
max_celsius: number, 
/**
 * Warmest processor, °C, 50 to 105.
 */
max_cpu_celsius: number, 
/**
 * Other programs' processor use above which sharing pauses, percent, 5 to 100.
 */
max_other_cpu_percent: number, 
/**
 * Whether to share on battery.
 */
on_battery: boolean, 
/**
 * Whether to share while the system saves power.
 */
with_power_saver: boolean, 
/**
 * Whether to share while a microphone or a camera is in use.
 */
in_calls: boolean, 
/**
 * Whether to share while a film or music plays or a program keeps the screen on.
 */
with_media: boolean, 
/**
 * Whether to share where data costs money.
 */
on_metered: boolean, 
/**
 * Whether to upload through a VPN.
 */
on_vpn: boolean, 
/**
 * Programs that pause sharing while they run.
 */
exclusive_programs: Array<string>, 
/**
 * Hours of the week in which sharing is allowed: 7 days from Monday, bit n = hour n.
 */
hours: [number, number, number, number, number, number, number], 
/**
 * Upload limit in kbit/s; 0 means 75 % of the measured line.
 */
upload_kbits: number, 
/**
 * Most data a month, in MB; 0 means no limit.
 */
month_mbytes: number, 
/**
 * Free disk that stays free, in MB.
 */
min_free_disk_mbytes: number, 
/**
 * Price of electricity in thousandths of the currency per kWh, where the owner said it.
 */
electricity_milli_per_kwh: number | null, 
/**
 * Value of one token in thousandths of the same currency, where the owner said it.
 */
token_milli: number | null, 
/**
 * Power of the card while sharing, on top, in watts, where it cannot be read and the owner said it.
 */
watts: number | null, 
/**
 * Language: a BCP 47 tag, or empty for the system's.
 */
language: string, 
/**
 * Appearance of the window.
 */
appearance: Appearance, 
/**
 * Start with the session.
 */
autostart: boolean, };

/**
 * The privacy page.
 */
export type Privacy = { 
/**
 * Bytes sent in the span.
 */
sent_bytes: number, 
/**
 * Bytes received in the span.
 */
received_bytes: number, 
/**
 * The operating system's own count beside ours.
 */
system: SystemView, 
/**
 * What left, by purpose and destination, largest first.
 */
rows: Array<PrivacyRow>, 
/**
 * The same by destination, largest first.
 */
destinations: Array<PrivacySum>, 
/**
 * The same by job, largest first.
 */
jobs: Array<PrivacySum>, 
/**
 * The same by publisher, largest first.
 */
publishers: Array<PrivacySum>, 
/**
 * Sent and received per hour of the span, oldest first. Hours without a sending are left out where the span is
 * longer than 31 days.
 */
hours: Array<PrivacyHour>, 
/**
 * The last single sendings, latest first.
 */
latest: Array<EgressView>, 
/**
 * When the oldest sending of the whole journal began.
 */
first_at: UnixMillis | null, 
/**
 * When the owner last deleted the history.
 */
deleted_at: UnixMillis | null, 
/**
 * Size of the journal in bytes, kept messages included.
 */
journal_bytes: number, 
/**
 * What is kept word for word.
 */
messages: KeptMessages, };

/**
 * One hour.
 */
export type PrivacyHour = { 
/**
 * Its first instant.
 */
at: UnixMillis, 
/**
 * Bytes sent.
 */
sent_bytes: number, 
/**
 * Bytes received.
 */
received_bytes: number, };

/**
 * Sum of one purpose and destination.
 */
export type PrivacyRow = { 
/**
 * Code of the purpose.
 */
purpose: string, 
/**
 * Host and port.
 */
destination: string, 
/**
 * Bytes sent.
 */
sent_bytes: number, 
/**
 * Bytes received.
 */
received_bytes: number, 
/**
 * Number of sendings.
 */
count: number, 
/**
 * [`EgressView::row`] of the latest of them whose message is kept.
 */
message: number | null, };

/**
 * Sum of one destination, job or publisher.
 */
export type PrivacySum = { 
/**
 * Of what.
 */
of: SumOf, 
/**
 * Bytes sent.
 */
sent_bytes: number, 
/**
 * Bytes received.
 */
received_bytes: number, 
/**
 * Number of sendings.
 */
count: number, };

/**
 * A price for a withdrawal; nothing is signed yet.
 */
export type Quote = { 
/**
 * Digest of all terms, hex.
 */
id: string, 
/**
 * Checksummed recipient.
 */
to: string, 
/**
 * What leaves the balance.
 */
total: string, 
/**
 * Fee of the relayer, exact.
 */
fee: string, 
/**
 * What arrives, exact.
 */
arrives: string, 
/**
 * Unit of the amounts.
 */
unit: string, 
/**
 * Until when the price holds.
 */
expires_at: UnixMillis, 
/**
 * Whether the address was typed without its checksum.
 */
unchecked_address: boolean, };

/**
 * A rate over several runs. The unit is that of the field which holds it.
 */
export type Rate = { 
/**
 * The best run: what the card can do.
 */
best: number, 
/**
 * The median run: what it usually does.
 */
median: number, 
/**
 * Standard deviation of the runs over their mean, in percent.
 */
spread_percent: number, 
/**
 * Number of runs.
 */
runs: number, };

/**
 * One reason why the card does not share, and what ends it.
 */
export type Reason = { 
/**
 * Which.
 */
code: ReasonCode, 
/**
 * Since when.
 */
since_at: UnixMillis, 
/**
 * When it ends at the earliest, where that is known.
 */
ends_at: UnixMillis | null, 
/**
 * The figure seen (a percentage, °C, minutes), where there is one.
 */
seen: number | null, 
/**
 * The limit that the figure is held against.
 */
limit: number | null, 
/**
 * Name of a program, where one is the reason.
 */
subject: string | null, };

/**
 * Why the card does not share. Serves for waiting (what is missing) and paused (who holds it).
 */
export type ReasonCode = "snoozed" | "not_welcomed" | "user_active" | "input_unknown" | "other_user" | "remote_session" | "on_battery" | "power_unknown" | "power_saver" | "schedule" | "fullscreen_app" | "exclusive_app" | "in_call" | "media_playing" | "screen_kept_on" | "cpu_busy" | "gpu_busy" | "gpu_hot" | "cpu_hot" | "metered" | "metered_unknown" | "vpn" | "disk_low" | "system_sleep" | "benchmarking" | "at_a_loss" | "starting" | "no_driver" | "software_driver" | "worker_failing" | "miscomputes" | "coordinator_unreachable" | "coordinator_version" | "no_work" | "device_suspended" | "journal_failing" | "turned_off";

/**
 * One receipt.
 */
export type ReceiptView = { 
/**
 * Position in the chain.
 */
sequence: number, 
/**
 * When it was written.
 */
issued_at: UnixMillis, 
/**
 * When it is final.
 */
matures_at: UnixMillis, 
/**
 * For what.
 */
kind: CreditKind, 
/**
 * Title of the job.
 */
title: string, 
/**
 * Accepted slices.
 */
slices: number, 
/**
 * Amount in tokens, all digits, with a minus sign when taken back.
 */
amount: string, };

/**
 * Who a client is.
 */
export type Role = { "role": "window" } | { "role": "terminal" } | { "role": "vault", 
/**
 * One-time token from the inherited pipe, hex.
 */
token: string, };

/**
 * The spectrum of one finished slice.
 */
export type SearchedSlice = { 
/**
 * Frequency of the left edge in Hz.
 */
left_hz: number, 
/**
 * Frequency of the right edge in Hz.
 */
right_hz: number, 
/**
 * Largest level in a few columns, 0 to 255.
 */
levels: Array<number>, 
/**
 * Whether a line was found in it.
 */
hit: boolean, };

/**
 * A passphrase or recovery words in transit: wiped when dropped, never printed.
 */
export type SecretText = string;

/**
 * One message as it was sent, before encryption.
 */
export type SentMessage = { 
/**
 * The sending.
 */
sending: EgressView, 
/**
 * Request line and headers.
 */
head: string, 
/**
 * Size of the body.
 */
body_bytes: number, 
/**
 * BLAKE3 hash of the body, hex.
 */
body_hash: string, 
/**
 * The body in a form to read, where it has one and is kept.
 */
readable: string | null, 
/**
 * In which notation [`SentMessage::readable`] is.
 */
notation: Notation, 
/**
 * Every byte of head and body, hex without separators; the body is missing where only its hash is kept.
 */
hex: string, 
/**
 * Whether the body's bytes are kept.
 */
body_kept: boolean, };

/**
 * What left today, by the journal.
 */
export type SentToday = { 
/**
 * Bytes sent.
 */
sent_bytes: number, 
/**
 * Bytes received.
 */
received_bytes: number, };

/**
 * For how long sharing pauses.
 */
export type Snooze = "minutes15" | "hour1" | "hours4" | "until_tomorrow" | "until_resume";

/**
 * A snooze.
 */
export type SnoozeView = { 
/**
 * Until when; empty means until the owner resumes.
 */
until_at: UnixMillis | null, };

/**
 * The states of `look/README.md`.
 */
export type State = "sharing" | "sharing_upload" | "working_offline" | "waiting" | "paused" | "attention" | "off";

/**
 * Everything that window, tray and terminal show of the present.
 */
export type Status = { 
/**
 * When this was true.
 */
at: UnixMillis, 
/**
 * Name of the network.
 */
network: string, 
/**
 * The one state.
 */
state: State, 
/**
 * Since when.
 */
since_at: UnixMillis, 
/**
 * Every reason that applies now, the headline first; empty while sharing.
 */
reasons: Array<Reason>, 
/**
 * The graphics card's lane.
 */
card: CardLane, 
/**
 * The upload's lane.
 */
upload: UploadLane, 
/**
 * What left the machine today.
 */
sent_today: SentToday, 
/**
 * The present work, kept while paused.
 */
work: Work | null, 
/**
 * Today's earnings.
 */
today: Money, 
/**
 * Until when a snooze lasts; `until_at` empty means until resume.
 */
snooze: SnoozeView | null, 
/**
 * The measurement, running or last.
 */
benchmark: Benchmark | null, 
/**
 * Whether Welcome is done.
 */
welcomed: boolean, 
/**
 * Notices that stay until they are dealt with.
 */
notices: Array<Notice>, 
/**
 * The wallet in brief.
 */
wallet: WalletBrief, };

/**
 * What a sum is of.
 */
export type SumOf = { "of": "destination", 
/**
 * Host and port.
 */
destination: string, } | { "of": "job", 
/**
 * Content address of its program, hex.
 */
program: string, 
/**
 * Its title and its publisher's name, where they have been read.
 */
name: JobName | null, } | { "of": "publisher", 
/**
 * The name.
 */
publisher: string, } | { "of": "unknown_publisher" } | { "of": "no_job" } | { "of": "rest" };

/**
 * What an operating system's counter says about ours.
 */
export type SystemCounterView = "tcp_info" | "none";

/**
 * The operating system's own count of a span beside ours.
 */
export type SystemView = { 
/**
 * Which counter.
 */
counter: SystemCounterView, 
/**
 * Sendings that the system counted.
 */
counted: number, 
/**
 * What we counted for just these.
 */
ours_sent_bytes: number, 
/**
 * What we counted for just these.
 */
ours_received_bytes: number, 
/**
 * What the system counted for them.
 */
sent_bytes: number, 
/**
 * What the system counted for them.
 */
received_bytes: number, 
/**
 * Sendings, among these, in which the two counts differ.
 */
differing: number, 
/**
 * Sendings that still go on; the system is asked at their end.
 */
underway: number, 
/**
 * Ended sendings that may have sent something and of which the system's count is missing.
 */
missing: number, 
/**
 * What we counted for those.
 */
missing_sent_bytes: number, };

/**
 * What keeps a card's clock below the highest.
 */
export type Throttle = "power_limit" | "heat" | "supply" | "setting" | "hardware";

/**
 * An instant: milliseconds since 1970-01-01T00:00:00Z. Fields of this type end in `_at`.
 */
export type UnixMillis = number;

/**
 * Why a card's sensor gave no value.
 */
export type Unread = "no_driver" | "not_permitted" | "lost" | "not_offered" | "driver_mismatch" | "ambiguous" | "asleep" | "failed";

/**
 * The upload now.
 */
export type UploadLane = { 
/**
 * Why nothing may be uploaded now; empty while it may.
 */
reasons: Array<Reason>, 
/**
 * Whether files are delivered to other homes.
 */
sharing: boolean, 
/**
 * Measured uplink in bit/s.
 */
measured_bits_per_s: number | null, 
/**
 * The most that Hearth may use, in bit/s.
 */
limit_bits_per_s: number | null, };

/**
 * The owner's decision in the vault window.
 */
export type VaultDecision = { "decision": "cancel" } | { "decision": "create", 
/**
 * New passphrase.
 */
passphrase: SecretText, 
/**
 * 12 or 24.
 */
words: number, } | { "decision": "restore", 
/**
 * The words, separated by spaces.
 */
words: SecretText, 
/**
 * New passphrase.
 */
passphrase: SecretText, } | { "decision": "withdraw", 
/**
 * Digest of the quote shown.
 */
quote: string, 
/**
 * The passphrase.
 */
passphrase: SecretText, } | { "decision": "show_words", 
/**
 * The passphrase.
 */
passphrase: SecretText, } | { "decision": "check_words", 
/**
 * In the order asked.
 */
answers: [SecretText, SecretText, SecretText], };

/**
 * What the vault window is opened for.
 */
export type VaultPurpose = { "purpose": "create" } | { "purpose": "restore" } | { "purpose": "withdraw", 
/**
 * [`Quote::id`].
 */
quote: string, } | { "purpose": "backup" };

/**
 * What the vault window shows.
 */
export type VaultView = { "view": "create", 
/**
 * Language of the window.
 */
language: string, 
/**
 * Appearance of the window.
 */
appearance: Appearance, 
/**
 * A passphrase of six words that may be taken.
 */
suggestion: SecretText, } | { "view": "restore", 
/**
 * Language of the window.
 */
language: string, 
/**
 * Appearance of the window.
 */
appearance: Appearance, } | { "view": "withdraw", 
/**
 * Language of the window.
 */
language: string, 
/**
 * Appearance of the window.
 */
appearance: Appearance, 
/**
 * The terms.
 */
quote: Quote, 
/**
 * Name and id of the chain.
 */
chain: string, } | { "view": "backup", 
/**
 * Language of the window.
 */
language: string, 
/**
 * Appearance of the window.
 */
appearance: Appearance, 
/**
 * Which three words (from 1) are asked back.
 */
ask: [number, number, number], };

/**
 * How a rule stands.
 */
export type Verdict = "clear" | "holds" | "off" | "not_yet" | "no_source" | "not_written_yet" | "failed" | "timed_out";

/**
 * How far one wall holds.
 */
export type Wall = "full" | "partial" | "none";

/**
 * The wallet in one line.
 */
export type WalletBrief = "none" | "not_backed_up" | "ready" | "unreadable";

/**
 * The wallet page.
 */
export type WalletView = { 
/**
 * State of the file.
 */
brief: WalletBrief, 
/**
 * Checksummed address.
 */
address: string | null, 
/**
 * Unit of the amounts.
 */
unit: string, 
/**
 * The identity that always adds up, where the chain could be read.
 */
balance: BalanceIdentity | null, 
/**
 * When the chain was read and proved.
 */
proved_at: UnixMillis | null, 
/**
 * Fee of one withdrawal, token as decimal text, where the coordinator told it.
 */
fee: string | null, 
/**
 * Withdrawals, latest first.
 */
withdrawals: Array<WithdrawalView>, 
/**
 * Why the balance is missing.
 */
error: LocalError | null, };

/**
 * The slice of a search at hand as levels, and a spectrum of what has been searched.
 */
export type Waterfall = { 
/**
 * Columns: frequency, left to right ascending.
 */
columns: number, 
/**
 * Rows: one per spectrum, first on top.
 */
rows: number, 
/**
 * `rows * columns` levels, 0 to 255, base64.
 */
levels: string, 
/**
 * Frequency of the left edge in Hz.
 */
left_hz: number, 
/**
 * Frequency of the right edge in Hz.
 */
right_hz: number, 
/**
 * Time from the first to the last row in milliseconds.
 */
span_millis: number, 
/**
 * The line found in this window, with its columns in the first and last row.
 */
mark: Mark | null, 
/**
 * One entry per finished slice of the bundle.
 */
searched: Array<SearchedSlice>, };

/**
 * Where a withdrawal stands.
 */
export type WithdrawalState = "signed" | "sent" | "included" | "final" | "expired" | "dropped";

/**
 * One withdrawal.
 */
export type WithdrawalView = { 
/**
 * Its nonce on the chain, which is its identity.
 */
id: string, 
/**
 * When it was confirmed by the owner.
 */
at: UnixMillis, 
/**
 * Checksummed recipient.
 */
to: string, 
/**
 * What arrives, in tokens.
 */
amount: string, 
/**
 * Fee, in tokens.
 */
fee: string, 
/**
 * Where it stands.
 */
state: WithdrawalState, 
/**
 * Transaction hash, once there is one.
 */
transaction: string | null, 
/**
 * Block that holds it.
 */
block: number | null, };

/**
 * How the operating system's count of one sending stands to ours.
 */
export type Witness = { "witness": "underway" } | { "witness": "equal" } | { "witness": "differs", 
/**
 * What the system counted as sent.
 */
sent_bytes: number, 
/**
 * What the system counted as received.
 */
received_bytes: number, } | { "witness": "no_connection" } | { "witness": "estimated" } | { "witness": "missing" };

/**
 * What is being computed.
 */
export type Work = { 
/**
 * Title of the program.
 */
title: string, 
/**
 * What it is for and for whom.
 */
purpose: string, 
/**
 * Name of the publisher in the network's profile.
 */
publisher: string, 
/**
 * Which picture fits.
 */
family: Family, 
/**
 * Slices of the bundle that are done.
 */
slices_done: number, 
/**
 * Slices of the bundle.
 */
slices_total: number, 
/**
 * Thousandths of the present slice.
 */
slice_permille: number, 
/**
 * Lines found so far in this bundle.
 */
hits: Array<HitView>, 
/**
 * Price of one accepted slice, token as decimal text.
 */
price_per_slice: string, 
/**
 * Until when the result is due.
 */
deadline_at: UnixMillis, };
