### Every sentence of Hearth in English: window, vault, tray and terminal. The rules are "Words" in look/README.md:
### second person, plain, whole sentences; what is not known is said or absent; the code of an error comes last.
### $-values arrive formatted; a value that is missing arrives as the word "none".

## The house
app-name = Hearth
nav-label = Pages
nav-home = Home
nav-work = Work
nav-earnings = Earnings
nav-wallet = Wallet
nav-privacy = Privacy
nav-settings = Settings
today-net = { $amount } today

span-seconds = { $count ->
    [one] { $count } second
   *[other] { $count } seconds
}
span-minutes = { $count ->
    [one] { $count } minute
   *[other] { $count } minutes
}
span-hours = { $count ->
    [one] { $count } hour
   *[other] { $count } hours
}
span-days = { $count ->
    [one] { $count } day
   *[other] { $count } days
}
bytes-bytes = { $count ->
    [one] { $figure } byte
   *[other] { $figure } bytes
}

## State
state-sharing = Sharing
    .title = Sharing
    .why = The graphics card has been working for others for { $span }. Touch the mouse and it is yours again.
    .light = You are here, so the card works for others { $percent } % of the time only. A game, a film or a call gets all of it.
state-sharing_upload = Sharing upload
    .title = Sharing upload only
    .why = Files go to other homes over spare upload. The graphics card is yours.
state-working_offline = Sharing
    .title = Working offline
    .why = The coordinator has not answered since { $since }. The card finishes what it has; results wait here until they can be sent.
state-waiting = Ready
    .title = Ready, but one thing is missing
    .why = Hearth has been ready since { $since }. There is nothing for you to do.
state-paused = Paused
    .title = Paused
    .why = Sharing has been paused since { $since }.
state-attention = Stopped
    .title = Stopped
    .why = Sharing stopped at { $since }. What you earned is not affected.
state-off = Off
    .title = Off
    .why = You turned sharing off at { $since }. It stays off until you turn it on.

## Reasons: name, sentence with what ends it, the same for the table, and the title while Hearth is ready but for this
reason-snoozed = You paused it
    .why = { $ends ->
        [none] You paused sharing. It stays paused until you resume it.
       *[other] You paused sharing until { $ends }.
    }
    .ends = { $ends ->
        [none] you resume it
       *[other] at { $ends }, or when you resume it
    }
    .ready = Ready, but you paused it
reason-not_welcomed = Welcome is not finished
    .why = Hearth starts once you have finished the three steps of Welcome.
    .ends = you finish Welcome
    .ready = Ready, but Welcome is not finished
reason-user_active = You are here
    .why = { $limit ->
        [none] Somebody is using this computer. Sharing starts after a while without mouse and keys.
       *[other] Somebody is using this computer. Sharing starts after { $limit } min without mouse and keys.
    }
    .ends = { $limit ->
        [none] a while without mouse and keys
       *[other] { $limit } min without mouse and keys
    }
    .ready = Ready, but somebody is here
reason-input_unknown = It is not known whether you are here
    .why = This system does not tell whether somebody uses mouse or keyboard, so Hearth takes it that somebody does.
    .ends = the system tells it again
    .ready = Ready, but it is not known whether you are here
reason-other_user = Another user is at the screen
    .why = Somebody else is logged in and has the screen. Sharing starts again when yours is back.
    .ends = your session is on the screen
    .ready = Ready, but another user is at the screen
reason-remote_session = Somebody uses it from afar
    .why = This session is used from another computer. Sharing starts again when nobody is connected.
    .ends = nobody is connected
    .ready = Ready, but somebody uses it from afar
reason-on_battery = On battery
    .why = This computer runs on its battery. Sharing starts when it is plugged in.
    .ends = it is plugged in
    .ready = Ready, but on battery
reason-power_unknown = It is not known whether this runs on battery
    .why = This system does not tell whether it runs on battery, so Hearth waits.
    .ends = the system tells it again
    .ready = Ready, but the power source is not known
reason-power_saver = The computer saves power
    .why = The computer is set to save power. Sharing starts again when it no longer does.
    .ends = power saving ends
    .ready = Ready, but the computer saves power
reason-schedule = Outside your hours
    .why = { $ends ->
        [none] Your hours do not include this one.
       *[other] Your hours do not include this one. Sharing starts at { $ends }.
    }
    .ends = { $ends ->
        [none] the next hour that you allow
       *[other] at { $ends }
    }
    .ready = Ready, but outside your hours
reason-fullscreen_app = A program fills the screen
    .why = { $subject ->
        [none] A program fills the screen. Sharing starts again after it leaves full screen.
       *[other] { $subject } fills the screen. Sharing starts again after it leaves full screen.
    }
    .ends = it leaves full screen
    .ready = Ready, but a program fills the screen
reason-exclusive_app = A program that you named runs
    .why = { $subject ->
        [none] A program that you named is running. Sharing starts again after it ends.
       *[other] { $subject } is running, and you asked Hearth to pause for it. Sharing starts again after it ends.
    }
    .ends = the program ends
    .ready = Ready, but a program that you named runs
reason-in_call = The microphone or the camera is in use
    .why = The microphone or the camera is in use, so you may be in a call. Sharing starts again when both are free. Hearth does not look at which program it is.
    .ends = microphone and camera are free
    .ready = Ready, but the microphone or the camera is in use
reason-media_playing = Music or a film plays
    .why = Music or a film is playing. Sharing starts again when it stops.
    .ends = it stops playing
    .ready = Ready, but music or a film plays
reason-screen_kept_on = A program keeps the screen on
    .why = A program asks to keep the screen on, as films and presentations do. Sharing starts again when it no longer does.
    .ends = the film or the presentation ends
    .ready = Ready, but a program keeps the screen on
reason-cpu_busy = Other programs use the processor
    .why = { $seen ->
        [none] Other programs use the processor. Sharing starts again when they are done.
       *[other] Other programs use { $seen } % of the processor. Sharing starts again below { $limit } %.
    }
    .ends = { $limit ->
        [none] they are done
       *[other] below { $limit } %
    }
    .ready = Ready, but other programs use the processor
reason-gpu_busy = Another program uses the card
    .why = { $seen ->
        [none] Another program uses the graphics card. Sharing starts again when it is done.
       *[other] Other programs use { $seen } % of the graphics card. Sharing starts again when they are done.
    }
    .ends = { $limit ->
        [none] the program is done
       *[other] below { $limit } %
    }
    .ready = Ready, but another program uses the card
reason-gpu_hot = The card is too warm
    .why = { $seen ->
        [none] The graphics card no longer tells how warm it is. Sharing starts again when it does.
       *[other] The graphics card is at { $seen } °C, although it should stay at { $limit } °C. Sharing starts again when it has cooled.
    }
    .ends = { $limit ->
        [none] the card cools
       *[other] below { $limit } °C
    }
    .ready = Ready, but the card is too warm
reason-cpu_hot = The processor is too warm
    .why = { $seen ->
        [none] The processor is warmer than your limit. Sharing starts again when it has cooled.
       *[other] The processor is at { $seen } °C and your limit is { $limit } °C. Sharing starts again when it has cooled.
    }
    .ends = { $limit ->
        [none] the processor cools
       *[other] below { $limit } °C
    }
    .ready = Ready, but the processor is too warm
reason-metered = Data costs money here
    .why = This computer is on a metered link, where data costs money. Sharing starts again on another link.
    .ends = you are on another link
    .ready = Ready, but data costs money here
reason-metered_unknown = It is not known whether data costs money here
    .why = This system does not tell whether data costs money on this link, so Hearth waits.
    .ends = the system tells it again
    .ready = Ready, but it is not known whether data costs money here
reason-vpn = A VPN is up
    .why = A VPN is up, so nothing is uploaded for others: the line behind it is not yours to share. The card goes on working.
    .ends = the VPN ends
    .ready = Ready, but a VPN is up
reason-disk_low = The disk is nearly full
    .why = Less disk is free than you want to keep free. Sharing starts again when there is room.
    .ends = there is room on the disk
    .ready = Ready, but the disk is nearly full
reason-system_sleep = The computer falls asleep or just woke
    .why = The computer sleeps or has just woken. Sharing starts again in a moment.
    .ends = it has been awake for a moment
    .ready = Ready, but the computer just woke
reason-benchmarking = The measurement runs
    .why = Hearth is measuring this computer. Sharing starts when the measurement is done.
    .ends = the measurement is done
    .ready = Ready, but the measurement runs
reason-at_a_loss = Work pays less than its electricity
    .why = Work would cost more electricity than it pays now, so Hearth stays off.
    .ends = work pays more than its electricity
    .ready = Ready, but work pays less than its electricity
reason-starting = Hearth just started
    .why = Hearth has just started and looks round first.
    .ends = a moment passes
    .ready = Ready in a moment
reason-no_driver = No driver that can compute
    .why = Hearth found no Vulkan driver on this computer, so the graphics card cannot compute. Everything else works.
    .ends = a driver is installed
    .ready = Ready, but there is no driver
    .do = Install the graphics driver of your card's maker, or the package mesa-vulkan-drivers, and start Hearth again.
reason-software_driver = Only a software renderer
    .why = The only driver here computes on the processor, and this network takes results of graphics cards only.
    .ends = a driver of a graphics card is installed
    .ready = Ready, but there is no graphics card
    .do = Install the driver of your graphics card and start Hearth again.
reason-worker_failing = The work failed again and again
    .why = The program that computes failed several times, so Hearth left the card alone. Your computer is fine, and nothing that you earned is affected.
    .ends = you resume it
    .ready = Ready, but the work failed again and again
    .do = Restart the computer, then resume. This ends most hang-ups of a driver. A newer driver helps too.
reason-miscomputes = This card computes some things wrongly
    .why = This card or its driver computes some things wrongly, so Hearth gives it no paid work. It is not your fault, and what you earned is safe.
    .ends = another driver gives the right answers
    .ready = Ready, but the card computes some things wrongly
    .do = Update the driver of your graphics card, then start Hearth again. Hearth checks the card anew by itself, at least once a day.
reason-coordinator_unreachable = The coordinator does not answer
    .why = The coordinator has not answered since { $since }. Hearth keeps asking. What you earned is safe here.
    .ends = the coordinator answers
    .ready = Ready, but the coordinator does not answer
reason-coordinator_version = The coordinator speaks another version
    .why = The coordinator speaks another version of the protocol than this Hearth. What you earned is safe here.
    .ends = both have the same version
    .ready = Ready, but the coordinator speaks another version
    .do = Look for a newer Hearth and install it.
reason-no_work = No paid work
    .why = Since { $since } nobody has paid for work that fits this computer. Nothing is wrong here, and there is nothing for you to do.
    .ends = work is offered
    .ready = Ready, but there is no paid work
reason-device_suspended = The coordinator suspended this computer
    .why = The coordinator found faults in this computer's results and sends no work. Earlier earnings that were accepted stay yours.
    .ends = the coordinator lets it in again
    .ready = Ready, but the coordinator suspended this computer
    .do = A card that runs too warm or overclocked makes faults. Set it back to its usual speed, then resume.
reason-journal_failing = The journal cannot be written
    .why = Hearth cannot write its journal, and it sends nothing that the journal does not hold.
    .ends = the journal can be written
    .ready = Ready, but the journal cannot be written
    .do = See whether the disk is full or the folder of Hearth is read-only, then resume.
reason-turned_off = You turned it off
    .why = You turned sharing off. It stays off until you turn it on.
    .ends = you turn it on
    .ready = Off

## Why not now
checks-head = Why not now?
checks-foot = Hearth looks at all of this before it shares. It only asks whether, never who or what.
checks-loading = Looking…
verdict-clear = yes
verdict-holds = no
verdict-off = you turned this rule off
verdict-not_yet = not read yet
verdict-no_source = not known: nothing on this computer tells it
verdict-not_written_yet = not known: Hearth cannot read it on this system yet
verdict-failed = not known: what tells it has failed
verdict-timed_out = not known: what tells it does not answer
check-on_battery = Plugged in
check-power_saver = Not set to save power
check-schedule = Inside your hours
check-in_call = Microphone and camera are free
check-exclusive_app = None of the programs that you named runs
check-fullscreen_app = No program fills the screen
check-screen_kept_on = No program keeps the screen on
check-media_playing = Nothing plays
check-other_user = Your session is on the screen
check-remote_session = Nobody uses it from afar
check-user_active = Nobody is at mouse, keys or gamepad
    .figure = for { $seen } min; { $limit } min are enough
check-gpu_busy = Other programs leave the card alone
    .figure = they use { $seen } %; { $limit } % are too much
check-cpu_busy = Other programs leave the processor alone
    .figure = they use { $seen } %; more than { $limit } % is too much
check-gpu_hot = The card is not too warm
    .figure = { $seen } °C; it is held at { $limit } °C
check-cpu_hot = The processor is not too warm
    .figure = { $seen } °C; more than { $limit } °C is too much
check-metered = Data costs nothing extra here
check-vpn = No VPN is up
    .figure = holds the upload only
check-disk_low = There is room on the disk
    .figure = { $seen } MB are free; { $limit } MB stay free
check-at_a_loss = Work pays for its electricity
terminal-check = { $mark } { $label }: { $detail }

## Snooze
snooze-minutes15 = Snooze 15 minutes
snooze-hour1 = Snooze 1 hour
snooze-hours4 = Snooze 4 hours
snooze-until_tomorrow = Snooze until tomorrow, 06:00
snooze-until_resume = Snooze until you resume
snooze-other = Other lengths
resume = Resume
turn-on = Turn on

## Home
today-after-electricity = Today, after electricity
today-paid = Today, before electricity
today-parts = { $paid } paid − { $electricity } electricity
today-electricity-unknown = Electricity is not known here.
last-yield = Last time, the card was yours again after { $millis } ms.
job-facts = Job facts
work-title-signal_search = Signal search
work-purpose-signal_search = Looking for narrow radio signals in a telescope recording
work-title-rendering = Rendering
work-purpose-rendering = Computing a picture, tile by tile
work-title-matrix_product = Matrix product
work-purpose-matrix_product = Multiplying large tables of whole numbers
work-for = { $title } for { $publisher }.
work-kept = Kept where it stopped
work-kept-why = { $title } for { $publisher }. Nothing is lost; the work goes on at slice { $next } of { $total }.
picture-window = the window around the line, { $width } wide
picture-slice = the slice at hand, { $width } wide
picture-band = { $done } of { $total } slices searched
picture-line = Line found
picture-drift = drifting { $drift } Hz/s
picture-noise = { $snr } times above the noise
picture-alt-line = Radio power over { $span }. One bright line drifts { $direction ->
    [left] from right to left
    [right] from left to right
   *[still] straight down
}.
picture-alt = Radio power over { $span }. No line has been found in this window.
picture-waiting = The picture appears with the first finished slice.
picture-column-slice = Slice
picture-column-from = From
picture-column-to = To
picture-column-hit = Line found
image-alt = A picture of { $width } by { $height } pixels in the making. This home has computed { $done } of its { $total } tiles.
image-tiles = { $done } of { $total } tiles from this home
image-rest = What is dark is still to be computed, here or in other homes.
image-whole = All of the picture was computed here.
image-size = { $width } × { $height } pixels
image-bundle = Bundle at hand: { $done } of { $total } tiles
image-waiting = The picture appears with the first finished tile.
product-progress = This work has no picture: it multiplies tables of whole numbers. { $done } of { $total } blocks are done.
product-check = Whether a block is right can be checked without multiplying again, by one random row of numbers.
yes = yes
no = no
hits-none = No line found so far.
hits-found = { $count ->
    [one] { $count } line found so far, at { $frequency }, drifting { $drift } Hz/s.
   *[other] { $count } lines found so far. The strongest is at { $frequency }, drifting { $drift } Hz/s.
}
lane-card = Graphics card
lane-sharing = Sharing
lane-yours = Yours
lane-idle = Resting
card-limit = { $name } at { $percent } %, your limit.
card-cooling = It works { $percent } % of the time now, so that it gets no warmer than you want.
card-software = { $name }, a software renderer, at { $percent } %.
card-unknown = The card has not been opened yet.
card-watts = { $watts } W
card-done = { $slices ->
    [0] No slice finished today.
    [one] { $slices } slice finished today.
   *[other] { $slices } slices finished today.
}
card-yielded = Left in { $millis } ms, the last time.
card-p99 = In 30 days, 99 of 100 hand-backs took { $millis } ms or less.
lane-upload = Upload
upload-limit = At most { $limit } of { $measured } Mbit/s.
upload-limit-only = At most { $limit } Mbit/s.
upload-unmeasured = The line has not been measured yet.
upload-idle = Now only results and signs of life go out.
lane-sent = Sent out today
sent-received = { $received } came in.
sent-link = See what and to whom
reasons-head = Every reason that applies now
reasons-foot = Sharing starts when none is left.
reason-column = Reason
reason-column-since = Since
reason-column-ends = What ends it
reason-column-rule = Rule
reason-change = Change
zero-head = Why today is zero
zero-card = This computer is ready.
zero-network = The coordinator answers.
zero-network-bad = The coordinator does not answer.
zero-work = No work was offered. Hearth does not invent work to look busy, so it paid nothing and used no extra electricity.
attention-head = What you can do
attention-code = Code for support: { $code }. Nobody who helps you will ever ask for your recovery words.
attention-resume = Try again
notice-detail = Code: { $code }. { $detail }

## Work
work-lead = What this computer helps with now, and for whom.
fact-for = For
fact-pays = Pays a slice
fact-slices = Slices at hand
fact-done = Finished
fact-due = Result due by
fact-kind = Kind
fact-files = Files, screen, network
fact-no-access = no access
fact-network = Network
fact-card = Computed on
adapter-software = { $name } (software renderer)
fact-driver = Driver
family-signal_search = signal search
family-benchmark = measurement
family-conformance = test of the driver
family-rendering = rendering
family-matrix_product = matrix product
family-other = other
wall-head = What the work can reach
wall-files = Files outside the driver's
wall-network = Internet and local network
wall-processes = Starting programs
wall-memory = Memory beyond its limit
wall-parent = Living on after Hearth
wall-full = shut by the system
wall-partial = shut in part
wall-none = not shut on this system
work-empty = No work is here now. The facts of the next job appear as soon as it arrives.
work-lines = Lines found
work-image = The picture so far
work-product = The work so far
line-frequency = Frequency
line-drift = Drift
line-snr = Above the noise
line-none = None so far.

## Earnings
range = Range
range-week = 7 days
range-month = 30 days
range-year = 12 months
range-all = All
earnings-after = After electricity
earnings-paid = Paid, before electricity
save-statement = Save statement…
saved-as = Saved as { $path }.
earnings-plot = Paid per day in { $unit }, with the part that went to electricity
key-yours = Yours
key-electricity = Went to electricity
key-none = no paid work that day
column-day = Day
column-shared = Shared
column-paid = Paid
column-electricity = Electricity
column-net = Net
column-state = State
day-final = final
day-checking = checking, final on { $date }
day-none = no paid work
receipts-of = { $date }, receipt by receipt
credit-computed = { $title }, { $slices ->
    [one] { $slices } slice
   *[other] { $slices } slices
}
credit-audited = Audit: checked { $slices ->
    [one] { $slices } slice
   *[other] { $slices } slices
} of another home
credit-delivered = Delivered files
credit-held = Kept files ready
credit-revoked = Taken back after a fault
check-head = Check it without us
check-body = Each line is a receipt signed by the coordinator and kept on this computer. A statement holds all of them, so anyone can verify the sum offline.
earnings-empty = Nothing has been earned in this span.
no_work-none_offered = No job is waiting for any computer.
no_work-enough_leased = This computer already holds as much work as it may.
no_work-device_class = This network gives no work to a computer without a graphics card driver.
no_work-suspended = The coordinator has suspended this computer.
no_work-class_held = All work on offer is held for this kind of card and driver, because they compute some of it wrongly. It is not your fault; a newer driver may help.
shared-span = { $hours } h { $minutes }

## Wallet
balance-ready = Balance, ready to withdraw
your-address = Your address
proved-at = Read from the chain and proved at { $time }
identity-earned = Earned here
identity-elsewhere = Earned on other devices
identity-received = Received otherwise
identity-balance = Balance
identity-withdrawn = Withdrawn
identity-fees = Fees
identity-pending = Still checking
identity-note = Always adds up, to the last digit. “Still checking” becomes balance once it is final.
withdraw = Withdraw
withdraw-to = To
withdraw-amount = Amount
withdraw-all = All
withdraw-placeholder = 0x and 40 characters
withdraw-fee = Network fee, exact
withdraw-leaves = Leaves your balance
withdraw-arrives = Arrives
withdraw-price = Show the price
withdraw-review = Review in the vault…
withdraw-nothing-sent = Nothing is sent yet. This price holds until { $time }.
withdraw-unchecked = The address was typed without its checksum, so a typing error in it cannot be seen. Compare it with the receiving side.
vault-open-note = The vault window is open. Decide there.
backup = Backup
backup-words = Recovery words
backup-done = Written down and checked
backup-missing = Not written down yet. Without them, a broken disk takes the money with it.
backup-check = Check again
backup-write = Write them down…
withdrawals = Withdrawals
withdrawals-none = None yet.
withdrawal-signed = signed, not sent yet
withdrawal-sent = sent
withdrawal-included = in block { $block }, not final yet
withdrawal-final = arrived, block { $block }
withdrawal-expired = never sent; the money is still here
withdrawal-dropped = refused by the chain; the money is still here
wallet-none = You have no wallet yet
wallet-none-why = What you earn is kept for you as signed receipts on this computer and does not expire. A wallet lets you withdraw it.
wallet-create = Create a wallet…
wallet-restore = Restore from words…
wallet-unreadable = The wallet file cannot be read
wallet-unreadable-why = Hearth left it as it is and will not make a new one over it. With your recovery words you can restore the wallet.
balance-missing = The balance is not known now

## Privacy
range-today = Today
range-day = Day
yesterday = Yesterday
day-before = Day before
day-after = Day after
close = Close
save-csv = Save as CSV…
save-json = Save as JSON…
left-today = Left this computer today
left-day = Left this computer on this day
left-span = Left this computer in this span
came-in = { $bytes } came in.
journal-count = By Hearth's journal
journal-compared = By Hearth's journal, of what both counted
system-count = By the system's own counter
system-difference = Difference
system-none = none on this system
system-none-why = Hearth reads no counter of this system that counts one program alone, so the figure is Hearth's word only.
system-equal-why = Linux counts the bytes of each connection too, and Hearth asks it when the connection ends. The two must be equal.
system-differs = { $count ->
    [one] In one sending the two counts differ: { $sent } sent, { $received } received. That is an error in Hearth. Save the record and report it.
   *[other] In { $count } sendings the two counts differ, in sum by { $sent } sent and { $received } received. That is an error in Hearth. Save the record and report it.
}
system-underway = { $count ->
    [one] { $count } sending still goes on and is compared when it ends.
   *[other] { $count } sendings still go on and are compared when they end.
}
system-missing = { $count ->
    [one] { $count } sending of { $bytes } is not compared, because the system's count of it is missing: Hearth ended in the middle, or the record is older than the comparison.
   *[other] { $count } sendings of { $bytes } are not compared, because the system's count of them is missing: Hearth ended in the middle, or the record is older than the comparison.
}
witness-differs = the system counted { $sent } sent, { $received } received
witness-missing = the system's count is missing
witness-underway = still goes on
witness-no-connection = no connection, nothing was sent
privacy-plot = Bytes that left, per hour
privacy-plot-days = Bytes that left, per day
privacy-hour = Hour
by-label = Put together by
by-purpose = Purpose
by-destination = Destination
by-job = Job
by-publisher = Publisher
sum-job-unread = A job whose name has not been read ({ $program })
sum-publisher-unread = Jobs whose publisher has not been read
sum-no-job = For no job: signs of life, money, measuring
sum-rest = All smaller ones
column-purpose = Purpose
column-to = To
column-sent = Sent, bytes
column-received = Received, bytes
column-count = Times
look-inside = Look inside
look-inside-latest = Look inside the latest message: { $purpose }
look-inside-one = Look inside: { $purpose }, { $time }
look-head = What was sent
look-sent = Sent
look-body = Contents
look-request = The request
look-words = In words
look-cbor = The contents are CBOR. Here they stand in its usual notation: h'…' are bytes, << >> is a message inside the message.
look-empty = Nothing was sent beside the request itself.
look-long = The contents are { $bytes } long. Of contents this long Hearth keeps the size and this BLAKE3 hash only:
look-bytes = Every byte
look-proof = This is what was sent, not a description of it, as it was before it was sealed for the way. An https connection adds its seal around it.
look-kept = It is kept on this computer only, until newer messages take its place or you delete the history.
look-gone = This message is no longer kept. Its line in the record stays.
look-save = Save as text…
copy = Copy
copied = Copied.
copy-refused = The system did not allow copying. You can save the message instead.
latest-head = Latest sendings
latest-note = Where nothing else is said, the system's own count of a sending is the same as Hearth's.
latest-more = Show all { $count }
latest-fewer = Show fewer
latest-estimated = at most; Hearth ended in the middle
column-when = When
column-what = About
learn-head = What others can learn
learn-coordinator = The coordinator
learn-coordinator-what = your internet address, your graphics card and its driver, when this computer shares and so roughly when nobody uses it, what it computed, the payout address that you bind, and where your withdrawals go
learn-home = Other homes
learn-home-what = your internet address, where a file that their work needs comes from this computer or goes to it
learn-publisher = Publishers
learn-publisher-what = the results of their work; nothing about you, not even that it was your computer
learn-chain = Chain nodes
learn-chain-what = your internet address together with the wallet that Hearth asks about
learn-anyone = Anyone
learn-anyone-what = what your wallet receives and where it goes, for the chain is public
learn-provider = Your internet provider
learn-provider-what = which servers Hearth speaks with, when, and how much; what is said too, where a server's address begins with http instead of https
stored-head = What is stored here
stored-journal = Record of sendings
stored-journal-since = { $bytes } with all of this page, since { $when }, kept until you delete it
stored-journal-empty = { $bytes }, still empty
stored-messages = Messages word for word
stored-messages-what = { $count } with { $bytes }. The latest { $most } are kept, { $size } in all; of contents above { $body } only the size and a hash
stored-never = Never
stored-never-what = names, file lists, what you do
deleted-at = You deleted the record of everything that had ended before { $when }.
delete-head = Delete the history
delete-history = Delete the history…
delete-what = The record of everything that has been sent so far is deleted from this computer, with the messages that were kept. It cannot be brought back.
delete-not = What was sent stays sent: this changes nothing at those who received it, and nothing on the chain.
delete-stays = What is being sent at this moment stays in the record, and so does the time of this deletion. Files that you saved stay where they are.
delete-keep = Keep it
delete-yes = Delete the record
delete-done = The record was deleted.
privacy-empty = Nothing has left this computer in this span.
purpose-coordinator = Signs of life, leases and receipts
purpose-work_input = Fetching work
purpose-result = Results of work
purpose-epoch_list = Checking the list of payments
purpose-payout = Payout address and withdrawals
purpose-chain_rpc = Wallet: reading your balance
purpose-measurement = Measuring the line
purpose-publish = Publishing work
purpose-update = Looking for a new version
purpose-peer_serve = Files delivered to other homes
purpose-peer_fetch = Files fetched from other homes
purpose-peer_reach = Finding the way to other homes
purpose-unknown = Another purpose: { $code }

## Settings
settings-search = Search settings
settings-none = No setting has this word.
group-away = When to share
set-enabled = Share this computer
set-idle = Start after
    .note = without mouse and keys
set-light = While you are here
    .note = a small share of the card for others while you read or write; games, films and calls still get all of it
set-light-none = paused
set-battery = Also on battery
set-power_saver = Also while the computer saves power
set-calls = Also while microphone or camera is in use
set-media = Also while music or a film plays
    .note = or a program keeps the screen on
set-cpu = Pause when other programs use the processor
    .note = above this share
set-programs = Always pause while these run
    .note = names of programs, parted by commas
group-limits = Limits
set-card = Graphics card at most
    .note = quieter and cooler below 80 %
set-celsius = Hold the card at
    .now = now { $celsius } °C
set-cpu_celsius = Pause when the processor is warmer than
set-memory = Memory of the card at most
    .note = work that needs more is handed back
set-disk = Disk that stays free
group-hours = Hours
set-hours = Share in these hours
    .note = Click to change. Arrow keys and Space work too.
hours-table = Hours of the week in which sharing is allowed
hours-cell = { $day }, { $hour }:00
hours-all = All hours
group-bandwidth = Bandwidth
set-upload = Upload at most
    .auto = 75 % of the measured line
    .measured = { $measured } Mbit/s measured
set-upload-auto = automatic
set-month = Data at most
    .note = empty means no limit
set-metered = Also where data costs money
set-vpn = Also upload through a VPN
month-unit = GB a month
group-money = Electricity
set-price = Price of electricity
    .note = for earnings after electricity; your bill says it
price-unit = per kWh
set-token = Value of 1 { $unit }
    .note = in the same currency
set-watts = Power of the card while sharing
    .note = on top, where it cannot be read
group-look = Look and language
set-language = Language
language-system = As the system
language-en = English
language-ja = 日本語
set-appearance = Appearance
appearance-system = System
appearance-light = Light
appearance-dark = Dark
group-itself = Hearth itself
set-autostart = Start with the computer
    .note = in the tray
set-measure = Measure this computer again
measure-now = Measure

## Welcome
welcome-step = Step { $step } of 3
back = Back
continue = Continue
welcome-1 = Lend this computer while nobody uses it
    .lead = Hearth does paid work on the graphics card. You see everything it does, and the earnings are yours.
welcome-what = What
welcome-what-card = <b>The graphics card</b>, for calculations that somebody pays for, such as searching telescope recordings.
welcome-what-upload = <b>Spare upload</b>, to hand in the results, fetch the next work, and pass on to other homes the files that their work needs.
welcome-when = When
welcome-when-body = After <b>{ $idle }</b> without mouse and keys. Never on battery. When you are back, the card is free within <b>50 ms</b>.
welcome-never = Never
welcome-never-files = Your files, camera, microphone or screen. A job has no way to reach them.
welcome-never-traffic = Strangers' internet traffic. No website ever sees your address because of someone else.
welcome-never-mining = Mining. Accounts, deposits or tracking.
welcome-2 = What this computer can do
    .lead = Measured here, in about 20 seconds. The figures stay on this computer, and nothing is paid for them.
measure-card = Graphics card
measure-line = Connection
measure-line-note = at most 25 MB each way
measure-start = Start the measurement
measure-again = Measure again
measure-cancel = Stop
measure-done = done
measure-waiting = not yet
measure-progress = Progress of the measurement
measure-speed = { $float } GFLOP/s, { $integer } GIOP/s, memory { $memory } GB/s.
measure-software = This is a software renderer: the processor computes in place of a card, so these figures do not count. Only networks on one machine take its results.
measure-held = Held { $share } % of its best speed over { $seconds } seconds.
measured-open = What the figures mean
measured-software = These are figures of the processor. They say nothing about a graphics card and do not count.
measured-compare = How each figure is taken is written down in Hearth's documentation. There is no ranking here: for a comparison with other cards Hearth has no source that it can vouch for.
measured-unknown = unknown
measured-not-offered = not offered
measured-runs = Best of { $runs } runs; the middle one had { $median }, and they differ by { $spread } %.
measured-float = Decimal numbers
    .why = Multiplications and additions of 32-bit decimal numbers, in billions a second: pictures and simulations live on them.
measured-integer = Whole numbers
    .why = Multiplications and additions of 32-bit whole numbers, in billions a second: work whose results must be the same on every card uses these.
measured-half = Short decimal numbers
    .why = The same with 16-bit decimal numbers, which are less exact and often twice as fast.
measured-half-missing = This card or its driver does not offer 16-bit decimal numbers.
measured-memory = The card's own memory
    .why = Bytes read and written while copying within the card, in billions a second: searching recordings depends on it.
measured-to_card = Data to the card
    .why = How fast the data of a job get from this computer's memory to the card.
measured-from_card = Data from the card
    .why = How fast results come back, measured with 4 MiB, the most that one part of a job gives back.
measured-dispatch = Handing over work
    .why = From giving the card a piece of nearly no work until it says that it is done.
measured-held = Speed held
    .why = It held { $share } % of its best speed over { $seconds } seconds without a pause. { $software ->
        [true] Other programs on this processor slow it down.
       *[other] Less than 100 % means that power or heat slow the card down once it works longer than a moment.
    }
measured-celsius = Temperature
    .why = At the end, while it still computed. Before: { $before }.
measured-watts = Power
    .why = Of the whole card at the end, while it still computed. Before: { $before }.
measured-throttle = Held back by
measured-card_memory = Memory
    .why = Of it, { $used } were in use by all programs together.
throttle-none = nothing
    .why = The card ran at the clock that it chose itself.
throttle-power_limit = its power limit
    .why = The card may not draw more power. For most cards this is usual under full load.
throttle-heat = its temperature
    .why = The card was too warm for its full clock. Dust, a closed case or a warm room are the usual causes.
throttle-supply = the power supply
    .why = The power supply asked the card to draw less.
throttle-setting = a setting
    .why = A program, the display or a group of cards prescribes a lower clock.
throttle-hardware = the hardware
    .why = The card slowed down and does not say why: heat or power.
unread-no_driver = The card's driver, or the part of it that tells readings, is not on this computer.
unread-not_permitted = The system does not let this user read it.
unread-lost = The card does not answer: it was taken out, or it needs a restart of the computer.
unread-not_offered = This card, its driver or this system has no such sensor that Hearth can read.
unread-driver_mismatch = The driver was updated while the old one still runs. A restart of the computer sets it right.
unread-ambiguous = There are several cards of this kind, and it is not told which of them computes.
unread-asleep = The card sleeps to save power, and reading would wake it.
unread-failed = The driver gave an error.
measure-speed-up = Upload { $up } Mbit/s, download { $down } Mbit/s, round trip { $rtt } ms.
step-opening = Opening the card…
step-float = Measuring arithmetic…
step-integer = Measuring whole numbers…
step-half = Measuring short decimals…
step-memory = Measuring memory…
step-transfer = Measuring the way to the card and back…
step-sustained = Measuring how it holds its speed…
step-latency = Measuring the round trip…
step-download = Measuring the download…
step-upload = Measuring the upload…
welcome-electricity = Electricity
    .note = while sharing, on top
welcome-loss = Some days have no paid work and earn nothing. If work would cost more electricity than it pays, Hearth stays off.
welcome-3 = Where should earnings go?
    .lead = You can start without a wallet. What you earn is kept for you as signed receipts on this computer and does not expire.
wallet-later = Decide later
    .note = The page Wallet is always there.
wallet-now = Create a wallet here
    .note = 12 words to write down, and a passphrase. The keys never leave this computer.
wallet-have = I have recovery words: restore my wallet
    .note = You type them in the vault, a window of its own.
welcome-autostart = Start with the computer, in the tray
welcome-share-now = Also share now while I look around, gently
welcome-finish = Start sharing

## No agent
no-agent = Hearth is not running
    .why = This window shows what Hearth does, and Hearth itself does not answer. Start Hearth from the menu of your programs; this window then goes on by itself. What you earned is safe on this computer.
other-build = This window and Hearth come from different builds
    .why = Close this window and open it again from the tray, so that both are of the same build.
connecting = Connecting…
    .why = This window is asking Hearth for the present state.

## Vault
vault-title = Hearth vault
vault-cancel = Cancel
vault-only-here = Only this window asks for your passphrase. No person and no website ever needs it, nor your recovery words.
vault-passphrase = Passphrase
vault-passphrase-new = New passphrase
vault-passphrase-again = Once more
vault-passphrase-differ = The two passphrases differ.
vault-working = One moment…
vault-withdraw = Confirm this withdrawal
    .lead = Once sent, nobody can take it back.
vault-leaves = Leaves your balance
vault-fee = Network fee, exact
vault-arrives = Arrives exactly
vault-address = Address after 0x. Compare a few groups with the receiving side, not only the ends.
vault-address-label = Address { $address }
vault-withdraw-do = Withdraw { $amount }
vault-withdrawn = The withdrawal is signed and saved
    .lead = Hearth sends it and shows on the page Wallet when it has arrived.
vault-create = Create a wallet
    .lead = The passphrase locks the wallet on this computer. You need it for every withdrawal. Nobody can reset it.
vault-suggestion = A passphrase that you may take
vault-suggestion-take = Take it
vault-words-count = Recovery words
vault-words-12 = 12 words
vault-words-24 = 24 words
vault-create-do = Create the wallet
vault-words = Write these words down
    .lead = In this order, on paper. Whoever has them has the money; without them, a broken disk takes it.
vault-words-done = I have written them down
vault-restore = Restore a wallet
    .lead = Type the 12 or 24 words in their order, parted by spaces.
vault-restore-words = Recovery words
vault-restore-do = Restore the wallet
vault-restored = The wallet is restored
    .lead = Hearth reads its balance from the chain now.
vault-backup = Recovery words
    .lead = The passphrase shows the words. Make sure that nobody looks on.
vault-backup-do = Show the words
vault-quiz = Three words back
    .lead = Type three of the words that you wrote down.
vault-quiz-word = Word { $number }
vault-quiz-do = Check
vault-quiz-back = See the words again
vault-backed-up = The words are checked
    .lead = Keep the paper where you keep things of worth.
vault-lost = The vault lost its connection
    .lead = Nothing was sent. Close this window and begin again on the page Wallet.
vault-stays = This window closes by itself.

## Errors: what happened, what is safe, what you can do
error-code = Code: { $code }
error-other_build = This window and Hearth come from different builds. Close the window and open it again.
error-bad_token = This vault window was opened for a decision that is over. Nothing happened. Begin again on the page Wallet.
error-not_allowed = Only the vault may ask this. Nothing happened.
error-malformed = Hearth could not read the request. Nothing happened.
error-busy = Hearth has too much to answer just now. Nothing happened; try again in a moment.
error-preference = A setting is out of its range. It was left as it was.
error-wallet_missing = There is no wallet on this computer. Create one, or restore one from its words.
error-wallet_unreadable = The wallet file is there but cannot be read. Hearth left it as it is. With your recovery words you can restore the wallet.
error-wallet_exists = There is a wallet on this computer already. Hearth never makes a new one over it.
error-wrong_passphrase = This passphrase does not open the wallet. Nothing happened; try again.
error-weak_passphrase = This passphrase is too easy to guess. Take a longer one, for example six words that have nothing to do with each other.
error-bad_words = These are not recovery words. Look for a typing error or a missing word.
error-quiz_failed = At least one word differs from the ones shown. Look at your paper and try again.
error-address_malformed = This is not an address. An address is 0x and 40 characters of 0 to 9 and a to f.
error-address_checksum = This address has a typing error: its checksum does not fit. Copy it again from the receiving side.
error-address_forbidden = Money sent to this address would be lost, so Hearth does not send it there.
error-amount_malformed = This is not an amount. Write figures and a decimal point, for example 5.25.
error-amount_too_precise = This amount has more digits after the point than the token knows.
error-amount_above_balance = This is more than your balance.
error-amount_below_fee = This is not more than the fee, so nothing would arrive.
error-withdrawal_pending = Another withdrawal is on its way. Wait until it has arrived.
error-quote_expired = This price no longer holds. Nothing was sent; ask for a new price.
error-chain_unreachable = No node of the chain answers. Nothing was sent, and your money is safe. Hearth keeps asking.
error-wrong_chain = The node belongs to another chain than this network's. Nothing was sent.
error-unknown_contract = The contract on the chain is not the one that this Hearth knows. Nothing was sent.
error-coordinator_unreachable = The coordinator does not answer. What you earned is safe here. Hearth keeps asking.
error-coordinator_version = The coordinator speaks another version of the protocol. What you earned is safe here. Look for a newer Hearth.
error-profile_signature = The signature of the network's file does not fit. The network was not joined.
error-profile_counter = This file of the network is older than the one that you have. The network stays as it is.
error-profile_expired = This file of the network has expired. Ask the network for a newer one.
error-no_network = No network has been joined yet. Open the file of a network to join it: in a terminal, hearth join FILE.
error-profile_unreadable = The file of the network cannot be read. The network was not joined.
error-disk_full = The disk is full. What was there is safe. Make room, then try again.
error-preferences_unreadable = The file of your settings could not be read. It was kept aside, and the settings are back to their first values.
error-journal_unreadable = The journal could not be read. It was kept aside, and a new one began.
error-no_driver = Hearth found no driver that can compute. Install the driver of your graphics card, or the package mesa-vulkan-drivers.
error-no_display = There is no display for a window. In a terminal, hearth --headless works without one.
error-internal = Something failed that should not. What you earned is safe here.

## Tray and terminal
tray-open = Open Hearth
tray-quit = Quit Hearth
tray-reasons = All { $count } reasons
tray-today = Today, after electricity: { $amount } { $unit }
tray-today-paid = Today, before electricity: { $amount } { $unit }
tray-window-closed = Sharing goes on in the tray.
terminal-state = State: { $state }
terminal-since = Since: { $since }
terminal-network = Network: { $network }
terminal-card = Graphics card: { $name }
terminal-work = Work: { $title } for { $publisher }, { $done } of { $total } slices
terminal-sent = Sent out today: { $bytes }
terminal-privacy-system = Of the { $counted } sendings that both counted, Hearth counted { $ours } bytes sent and Linux { $theirs }; the two differ in { $differing }. Not compared: { $missing }.
terminal-privacy-none = The system's own counter: none on this system.
terminal-done = Done.
