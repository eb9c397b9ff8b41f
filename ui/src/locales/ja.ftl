### Hearth のすべての文（日本語）。ウィンドウ、金庫、トレイ、ターミナルが読みます。書き方は look/README.md の Words に従います。
### ページの文は です・ます、表と状態は名詞形、記号は全角、数字は半角です。
### $ の値は整形済みで届き、値がないときは none という語が届きます。

## 家の言葉
app-name = Hearth
nav-label = ページ
nav-home = ホーム
nav-work = 仕事
nav-earnings = 収益
nav-wallet = ウォレット
nav-privacy = プライバシー
nav-settings = 設定
today-net = 今日 { $amount }

span-seconds = { $count }秒
span-minutes = { $count }分
span-hours = { $count }時間
span-days = { $count }日
bytes-bytes = { $figure } バイト

## 状態
state-sharing = 共有中
    .title = 共有しています
    .why = グラフィックボードが{ $span }のあいだ、人の役に立つ仕事をしています。マウスに触れれば、すぐにお返しします。
    .light = あなたが使っているため、グラフィックボードは時間の { $percent } % だけ働いています。ゲーム、映画、通話の間はすべてお返しします。
state-sharing_upload = アップロード共有中
    .title = アップロードだけを共有しています
    .why = 空いているアップロードで、ほかの家庭へファイルを届けています。グラフィックボードはあなたのものです。
state-working_offline = 共有中
    .title = オフラインで作業しています
    .why = { $since }からコーディネーターの応答がありません。手元にある仕事は最後まで進め、結果は送れるようになるまでここに保存します。
state-waiting = 待機中
    .title = 準備はできていますが、足りないものが1つあります
    .why = { $since }から準備ができています。あなたがすることはありません。
state-paused = 一時停止中
    .title = 一時停止しています
    .why = { $since }から共有を一時停止しています。
state-attention = 停止
    .title = 停止しました
    .why = { $since }に共有が停止しました。これまでの報酬に影響はありません。
state-off = オフ
    .title = オフになっています
    .why = { $since }にあなたが共有をオフにしました。オンにするまで、このままです。

## 理由
reason-snoozed = あなたが一時停止
    .why = { $ends ->
        [none] あなたが共有を一時停止しました。再開するまで、このままです。
       *[other] あなたが{ $ends }まで共有を一時停止しました。
    }
    .ends = { $ends ->
        [none] 再開したとき
       *[other] { $ends }、または再開したとき
    }
    .ready = 準備はできていますが、一時停止中です
reason-not_welcomed = 初期設定の途中
    .why = 初期設定の3つの手順が終わると、共有が始まります。
    .ends = 初期設定が終わったとき
    .ready = 準備はできていますが、初期設定が終わっていません
reason-user_active = あなたが使用中
    .why = { $limit ->
        [none] だれかがこのパソコンを使っています。マウスとキーボードの操作がしばらくなければ、共有が始まります。
       *[other] だれかがこのパソコンを使っています。マウスとキーボードの操作が{ $limit }分なければ、共有が始まります。
    }
    .ends = { $limit ->
        [none] 操作がしばらくないとき
       *[other] 操作が{ $limit }分ないとき
    }
    .ready = 準備はできていますが、だれかが使っています
reason-input_unknown = 使用中かどうかが不明
    .why = このシステムではマウスとキーボードの操作が分からないため、だれかが使っているものとして扱います。
    .ends = 操作が分かるようになったとき
    .ready = 準備はできていますが、使用中かどうかが分かりません
reason-other_user = 別のユーザーが使用中
    .why = 別のユーザーがログインして画面を使っています。あなたの画面に戻ると、共有を再開します。
    .ends = あなたの画面に戻ったとき
    .ready = 準備はできていますが、別のユーザーが使っています
reason-remote_session = 遠隔で使用中
    .why = このパソコンは別のパソコンから使われています。接続が切れると、共有を再開します。
    .ends = 接続が切れたとき
    .ready = 準備はできていますが、遠隔で使われています
reason-on_battery = バッテリー駆動
    .why = バッテリーで動いています。電源につなぐと、共有が始まります。
    .ends = 電源につないだとき
    .ready = 準備はできていますが、バッテリーで動いています
reason-power_unknown = 電源の状態が不明
    .why = このシステムではバッテリー駆動かどうかが分からないため、待っています。
    .ends = 電源の状態が分かるようになったとき
    .ready = 準備はできていますが、電源の状態が分かりません
reason-power_saver = 省電力モード
    .why = 省電力モードになっています。解除すると、共有を再開します。
    .ends = 省電力モードが終わったとき
    .ready = 準備はできていますが、省電力モードです
reason-schedule = 時間帯の外
    .why = { $ends ->
        [none] 今は、あなたが決めた時間帯の外です。
       *[other] 今は、あなたが決めた時間帯の外です。{ $ends }に共有が始まります。
    }
    .ends = { $ends ->
        [none] 次の時間帯
       *[other] { $ends }
    }
    .ready = 準備はできていますが、時間帯の外です
reason-fullscreen_app = 全画面表示のプログラム
    .why = { $subject ->
        [none] プログラムが画面全体を使っています。全画面表示が終わると、共有を再開します。
       *[other] { $subject }が画面全体を使っています。全画面表示が終わると、共有を再開します。
    }
    .ends = 全画面表示が終わったとき
    .ready = 準備はできていますが、全画面表示のプログラムがあります
reason-exclusive_app = 指定したプログラムが動作中
    .why = { $subject ->
        [none] あなたが指定したプログラムが動いています。終わると、共有を再開します。
       *[other] あなたが指定した{ $subject }が動いています。終わると、共有を再開します。
    }
    .ends = プログラムが終わったとき
    .ready = 準備はできていますが、指定したプログラムが動いています
reason-in_call = マイクかカメラの使用中
    .why = マイクかカメラが使われているため、通話中かもしれません。どちらも空くと、共有を再開します。どのプログラムかは調べません。
    .ends = マイクもカメラも空いたとき
    .ready = 準備はできていますが、マイクかカメラが使われています
reason-media_playing = 音楽か映画の再生中
    .why = 音楽か映画が再生されています。止まると、共有を再開します。
    .ends = 再生が止まったとき
    .ready = 準備はできていますが、再生中です
reason-screen_kept_on = 画面を消さないプログラム
    .why = 映画や発表のように、プログラムが画面を点けたままにしています。終わると、共有を再開します。
    .ends = 映画や発表が終わったとき
    .ready = 準備はできていますが、画面が点けたままにされています
reason-cpu_busy = ほかのプログラムがCPUを使用中
    .why = { $seen ->
        [none] ほかのプログラムがCPUを使っています。終わると、共有を再開します。
       *[other] ほかのプログラムがCPUの { $seen } % を使っています。{ $limit } % を下回ると、共有を再開します。
    }
    .ends = { $limit ->
        [none] 使い終わったとき
       *[other] { $limit } % 未満になったとき
    }
    .ready = 準備はできていますが、ほかのプログラムがCPUを使っています
reason-gpu_busy = ほかのプログラムがグラフィックボードを使用中
    .why = { $seen ->
        [none] ほかのプログラムがグラフィックボードを使っています。終わると、共有を再開します。
       *[other] ほかのプログラムがグラフィックボードの { $seen } % を使っています。終わると、共有を再開します。
    }
    .ends = { $limit ->
        [none] 使い終わったとき
       *[other] { $limit } % 未満になったとき
    }
    .ready = 準備はできていますが、ほかのプログラムがグラフィックボードを使っています
reason-gpu_hot = グラフィックボードが高温
    .why = { $seen ->
        [none] グラフィックボードの温度が分からなくなりました。分かるようになると、共有を再開します。
       *[other] グラフィックボードは { $seen } °C で、保つべき { $limit } °C を超えています。冷めると、共有を再開します。
    }
    .ends = { $limit ->
        [none] 冷めたとき
       *[other] { $limit } °C 未満になったとき
    }
    .ready = 準備はできていますが、グラフィックボードが高温です
reason-cpu_hot = CPUが高温
    .why = { $seen ->
        [none] CPUの温度が上限を超えています。冷めると、共有を再開します。
       *[other] CPUは { $seen } °C で、上限の { $limit } °C を超えています。冷めると、共有を再開します。
    }
    .ends = { $limit ->
        [none] 冷めたとき
       *[other] { $limit } °C 未満になったとき
    }
    .ready = 準備はできていますが、CPUが高温です
reason-metered = 従量制の接続
    .why = 従量制の接続のため、データに料金がかかります。別の接続に変わると、共有を再開します。
    .ends = 別の接続に変わったとき
    .ready = 準備はできていますが、従量制の接続です
reason-metered_unknown = データ料金が不明
    .why = この接続でデータに料金がかかるかどうかが分からないため、待っています。
    .ends = 分かるようになったとき
    .ready = 準備はできていますが、データ料金が分かりません
reason-vpn = VPN 接続中
    .why = VPN につながっているため、ほかの人へのアップロードはしません。その先の回線はあなたのものとは限らないからです。グラフィックボードは働き続けます。
    .ends = VPN が切れたとき
    .ready = 準備はできていますが、VPN につながっています
reason-disk_low = ディスクの空き不足
    .why = ディスクの空きが、あなたが残したい量より少なくなっています。空きができると、共有を再開します。
    .ends = 空きができたとき
    .ready = 準備はできていますが、ディスクの空きが足りません
reason-system_sleep = スリープからの復帰直後
    .why = パソコンがスリープ中か、復帰したばかりです。まもなく共有を再開します。
    .ends = 復帰から少したったとき
    .ready = 準備はできていますが、復帰したばかりです
reason-benchmarking = 測定中
    .why = このパソコンを測定しています。終わると、共有が始まります。
    .ends = 測定が終わったとき
    .ready = 準備はできていますが、測定中です
reason-at_a_loss = 報酬より電気代が高い
    .why = 今の仕事は報酬より電気代のほうが高いため、Hearth は休んでいます。
    .ends = 報酬が電気代を上回ったとき
    .ready = 準備はできていますが、報酬より電気代が高くなっています
reason-starting = 起動直後
    .why = Hearth は起動したばかりで、まず周りの様子を確かめています。
    .ends = まもなく
    .ready = まもなく準備ができます
reason-no_driver = 計算できるドライバーがない
    .why = このパソコンに Vulkan ドライバーが見つからないため、グラフィックボードで計算できません。ほかの機能はすべて使えます。
    .ends = ドライバーが入ったとき
    .ready = 準備はできていますが、ドライバーがありません
    .do = グラフィックボードのメーカーのドライバーか、パッケージ mesa-vulkan-drivers を入れて、Hearth を起動し直してください。
reason-software_driver = ソフトウェア描画のみ
    .why = このパソコンのドライバーはCPUで計算するものだけです。このネットワークはグラフィックボードの結果だけを受け取ります。
    .ends = グラフィックボードのドライバーが入ったとき
    .ready = 準備はできていますが、グラフィックボードがありません
    .do = グラフィックボードのドライバーを入れて、Hearth を起動し直してください。
reason-worker_failing = 計算が何度も失敗
    .why = 計算するプログラムが何度も失敗したため、グラフィックボードの使用をやめました。パソコンに問題はなく、これまでの報酬にも影響はありません。
    .ends = 再開したとき
    .ready = 準備はできていますが、計算が何度も失敗しました
    .do = パソコンを再起動してから再開してください。ドライバーの不調はたいていこれで直ります。新しいドライバーも役に立ちます。
reason-miscomputes = このグラフィックボードの計算に誤り
    .why = このグラフィックボードかドライバーの計算に誤りがあるため、Hearth は有償の仕事を任せません。あなたのせいではありません。これまでの報酬にも影響はありません。
    .ends = 別のドライバーで正しい答えが出たとき
    .ready = 準備はできていますが、グラフィックボードの計算に誤りがあります
    .do = グラフィックボードのドライバーを更新して、Hearth を起動し直してください。Hearth は少なくとも1日に1回、自動で確かめ直します。
reason-coordinator_unreachable = コーディネーターの応答なし
    .why = { $since }からコーディネーターの応答がありません。Hearth は問い合わせを続けます。これまでの報酬はここに安全に残っています。
    .ends = 応答があったとき
    .ready = 準備はできていますが、コーディネーターの応答がありません
reason-coordinator_version = コーディネーターの版が異なる
    .why = コーディネーターは、この Hearth と異なる版の通信規約を使っています。これまでの報酬はここに安全に残っています。
    .ends = 両方が同じ版になったとき
    .ready = 準備はできていますが、コーディネーターの版が異なります
    .do = 新しい版の Hearth を探して入れてください。
reason-no_work = 有償の仕事がない
    .why = { $since }から、このパソコンに合う有償の仕事がありません。ここに問題はなく、あなたがすることもありません。
    .ends = 仕事が来たとき
    .ready = 準備はできていますが、有償の仕事がありません
reason-device_suspended = コーディネーターが停止
    .why = コーディネーターがこのパソコンの結果に誤りを見つけ、仕事を送るのをやめました。受け入れられた報酬はあなたのものです。
    .ends = コーディネーターが再び受け入れたとき
    .ready = 準備はできていますが、コーディネーターがこのパソコンを停止しています
    .do = 高温やオーバークロックは計算の誤りにつながります。通常の速度に戻してから再開してください。
reason-journal_failing = 通信の記録に書き込めない
    .why = 通信の記録に書き込めません。Hearth は、記録できないものを何も送りません。
    .ends = 書き込めるようになったとき
    .ready = 準備はできていますが、通信の記録に書き込めません
    .do = ディスクがいっぱいでないか、Hearth のフォルダーが読み取り専用でないかを確かめてから、再開してください。
reason-turned_off = あなたがオフに設定
    .why = あなたが共有をオフにしました。オンにするまで、このままです。
    .ends = オンにしたとき
    .ready = オフになっています

## Why not now
checks-head = 今はなぜ共有しないのか
checks-foot = Hearth は共有の前に、これらをすべて確かめます。あてはまるかどうかだけを調べ、だれが何をしているかは調べません。
checks-loading = 確かめています…
verdict-clear = はい
verdict-holds = いいえ
verdict-off = この規則はオフです
verdict-not_yet = まだ読んでいません
verdict-no_source = 不明（このパソコンでは分かりません）
verdict-not_written_yet = 不明（このシステムではまだ読めません）
verdict-failed = 不明（読み取りに失敗しました）
verdict-timed_out = 不明（応答がありません）
check-on_battery = 電源につながっている
check-power_saver = 省電力モードではない
check-schedule = 時間帯の中
check-in_call = マイクもカメラも空いている
check-exclusive_app = 指定したプログラムは動いていない
check-fullscreen_app = 全画面表示のプログラムはない
check-screen_kept_on = 画面を点けたままにするプログラムはない
check-media_playing = 何も再生していない
check-other_user = あなたの画面が表示されている
check-remote_session = 遠隔で使われていない
check-user_active = マウス、キーボード、ゲームパッドの操作がない
    .figure = { $seen }分間。{ $limit }分で十分です
check-gpu_busy = ほかのプログラムはグラフィックボードを使っていない
    .figure = { $seen } %。{ $limit } % からは休みます
check-cpu_busy = ほかのプログラムはCPUをあまり使っていない
    .figure = { $seen } %。{ $limit } % を超えると休みます
check-gpu_hot = グラフィックボードは熱すぎない
    .figure = { $seen } °C。{ $limit } °C に保ちます
check-cpu_hot = CPUは熱すぎない
    .figure = { $seen } °C。{ $limit } °C を超えると休みます
check-metered = データに追加の料金はかからない
check-vpn = VPN につながっていない
    .figure = アップロードだけが対象です
check-disk_low = ディスクに空きがある
    .figure = 空き { $seen } MB。{ $limit } MB は残します
check-at_a_loss = 報酬が電気代を上回っている
terminal-check = { $mark } { $label }：{ $detail }

## 一時停止
snooze-minutes15 = 15分休む
snooze-hour1 = 1時間休む
snooze-hours4 = 4時間休む
snooze-until_tomorrow = 明日の 06:00 まで休む
snooze-until_resume = 再開するまで休む
snooze-other = ほかの長さ
resume = 再開
turn-on = オンにする

## ホーム
today-after-electricity = 今日（電気代を引いた額）
today-paid = 今日（電気代を引く前の額）
today-parts = 報酬 { $paid } − 電気代 { $electricity }
today-electricity-unknown = 電気代は設定されていません。
last-yield = 前回は { $millis } ミリ秒でグラフィックボードをお返ししました。
job-facts = 仕事の詳細
work-title-signal_search = 信号探索
work-purpose-signal_search = 望遠鏡の観測データから、幅の狭い電波信号を探しています
work-title-rendering = 画像の生成
work-purpose-rendering = 1枚の画像をタイルごとに計算しています
work-title-matrix_product = 行列の積
work-purpose-matrix_product = 大きな整数の表どうしを掛け合わせています
work-for = { $publisher } の { $title }。
work-kept = 止めたところを保存しています
work-kept-why = { $publisher } の { $title }。失われたものはありません。{ $total }区間のうち{ $next }番目から続けます。
picture-window = 検出した線の周囲 { $width }
picture-slice = 今の区間、幅 { $width }
picture-band = { $total }区間のうち{ $done }を探索済み
picture-line = 線を検出
picture-drift = ドリフト { $drift } Hz/s
picture-noise = 雑音の{ $snr }倍
picture-alt-line = { $span }間の電波の強さ。明るい線が{ $direction ->
    [left] 右から左へ動いている
    [right] 左から右へ動いている
   *[still] まっすぐ下りている
}。
picture-alt = { $span }間の電波の強さ。この範囲ではまだ線が見つかっていない。
picture-waiting = 最初の区間が終わると、ここに図が出ます。
picture-column-slice = 区間
picture-column-from = 下端
picture-column-to = 上端
picture-column-hit = 線の検出
image-alt = 作成中の画像、{ $width } × { $height }ピクセル。{ $total }タイルのうち{ $done }をこの家で計算した。
image-tiles = この家で{ $total }タイル中{ $done }
image-rest = 暗い部分は、ここかほかの家でこれから計算します。
image-whole = 画像のすべてをここで計算しました。
image-size = { $width } × { $height }ピクセル
image-bundle = 手元の分: { $total }タイル中{ $done }
image-waiting = 最初のタイルが終わると、ここに画像が出ます。
product-progress = この仕事に図はありません。整数の表どうしを掛け合わせています。{ $total }ブロックのうち{ $done }が終わりました。
product-check = ブロックが正しいかどうかは、掛け算をやり直さなくても、乱数の列を一つ使って確かめられます。
yes = あり
no = なし
hits-none = まだ線は見つかっていません。
hits-found = これまでに線が{ $count }本見つかりました。最も強いものは { $frequency }、ドリフト { $drift } Hz/s です。
lane-card = グラフィックボード
lane-sharing = 共有中
lane-yours = あなたのもの
lane-idle = 休止中
card-limit = { $name }、上限の { $percent } %。
card-cooling = 望みの温度を超えないように、今は時間の { $percent } % だけ働いています。
card-software = { $name }（ソフトウェア描画）、{ $percent } %。
card-unknown = まだ使っていません。
card-watts = { $watts } W
card-done = { $slices ->
    [0] 今日終わった区間はありません。
   *[other] 今日は{ $slices }区間が終わりました。
}
card-yielded = 前回は { $millis } ミリ秒でお返ししました。
card-p99 = この30日間、100回のうち99回は { $millis } ミリ秒以内でした。
lane-upload = アップロード
upload-limit = { $measured } Mbit/s のうち、最大 { $limit }。
upload-limit-only = 最大 { $limit } Mbit/s。
upload-unmeasured = 回線はまだ測定していません。
upload-idle = 今は、結果と稼働の通知だけを送っています。
lane-sent = 今日の送信量
sent-received = 受信は { $received }。
sent-link = 何がどこへ送られたかを見る
reasons-head = 今あてはまるすべての理由
reasons-foot = すべてなくなると、共有が始まります。
reason-column = 理由
reason-column-since = 開始
reason-column-ends = 終わる条件
reason-column-rule = 規則
reason-change = 変更
zero-head = 今日がゼロの理由
zero-card = このパソコンは準備ができています。
zero-network = コーディネーターは応答しています。
zero-network-bad = コーディネーターの応答がありません。
zero-work = 仕事がありませんでした。Hearth は忙しく見せるための仕事を作らないので、報酬はなく、余分な電気も使っていません。
attention-head = あなたにできること
attention-code = 問い合わせ用のコード：{ $code }。お手伝いする人が復元用の単語を尋ねることは決してありません。
attention-resume = もう一度試す
notice-detail = コード：{ $code }。{ $detail }

## 仕事
work-lead = このパソコンが今、何を、だれのために手伝っているか。
fact-for = 依頼者
fact-pays = 1区間の報酬
fact-slices = 手元の区間
fact-done = 完了
fact-due = 結果の期限
fact-kind = 種類
fact-files = ファイル、画面、通信
fact-no-access = 使えない
fact-network = ネットワーク
fact-card = 計算する装置
adapter-software = { $name }（ソフトウェア描画）
fact-driver = ドライバー
family-signal_search = 信号探索
family-benchmark = 測定
family-conformance = ドライバーの検査
family-rendering = 画像の生成
family-matrix_product = 行列の積
family-other = その他
wall-head = 仕事が触れられるもの
wall-files = ドライバー以外のファイル
wall-network = インターネットと家庭内の通信
wall-processes = プログラムの起動
wall-memory = 上限を超えるメモリー
wall-parent = Hearth の終了後に残ること
wall-full = システムが遮断
wall-partial = 一部を遮断
wall-none = このシステムでは遮断なし
work-empty = 今は仕事がありません。次の仕事が届くと、その詳細がここに出ます。
work-lines = 見つかった線
work-image = ここまでの画像
work-product = ここまでの仕事
line-frequency = 周波数
line-drift = ドリフト
line-snr = 雑音との比
line-none = まだありません。

## 収益
range = 期間
range-week = 7日間
range-month = 30日間
range-year = 12か月
range-all = すべて
earnings-after = 電気代を引いた額
earnings-paid = 報酬（電気代を引く前の額）
save-statement = 明細を保存…
saved-as = { $path } に保存しました。
earnings-plot = 1日ごとの報酬（{ $unit }）と、そのうち電気代になった分
key-yours = あなたの分
key-electricity = 電気代になった分
key-none = 有償の仕事がなかった日
column-day = 日
column-shared = 共有時間
column-paid = 報酬
column-electricity = 電気代
column-net = 差引
column-state = 状態
day-final = 確定
day-checking = 確認中、{ $date }に確定
day-none = 有償の仕事なし
receipts-of = { $date }の受領証
credit-computed = { $title }、{ $slices }区間
credit-audited = 検査：ほかの家庭の{ $slices }区間を確認
credit-delivered = ファイルの配達
credit-held = ファイルの保管
credit-revoked = 誤りによる取り消し
check-head = 自分で確かめる
check-body = どの行も、コーディネーターが署名し、このパソコンに保存した受領証です。明細にはそのすべてが入るので、だれでもオフラインで合計を確かめられます。
earnings-empty = この期間の報酬はありません。
no_work-none_offered = どのパソコンへの仕事もありません。
no_work-enough_leased = このパソコンは、すでに受け取れるだけの仕事を持っています。
no_work-device_class = このネットワークは、グラフィックボードのドライバーがないパソコンに仕事を出しません。
no_work-suspended = コーディネーターがこのパソコンを停止しています。
no_work-class_held = この種類のグラフィックボードとドライバーでは計算に誤りが出るため、今ある仕事はすべて止められています。あなたのせいではありません。新しいドライバーで直ることがあります。
shared-span = { $hours }:{ $minutes }

## ウォレット
balance-ready = 残高（いつでも出金できます）
your-address = 自分のアドレス
proved-at = { $time } にチェーンから読み取り、証明済み
identity-earned = ここでの報酬
identity-elsewhere = ほかの端末の報酬
identity-received = その他の受け取り
identity-balance = 残高
identity-withdrawn = 出金済み
identity-fees = 手数料
identity-pending = 確認中
identity-note = この式は最後の1桁まで常に一致します。「確認中」の分は、確定すると残高へ移ります。
withdraw = 出金
withdraw-to = 送り先
withdraw-amount = 金額
withdraw-all = 全額
withdraw-placeholder = 0x と40文字
withdraw-fee = ネットワーク手数料（確定額）
withdraw-leaves = 残高から出る額
withdraw-arrives = 受取額
withdraw-price = 手数料を確かめる
withdraw-review = 金庫で確認…
withdraw-nothing-sent = まだ送金されません。この手数料は { $time } まで有効です。
withdraw-unchecked = チェックサムのないアドレスのため、入力の誤りを見つけられません。受け取り側のアドレスと見比べてください。
vault-open-note = 金庫のウィンドウが開いています。そちらで決めてください。
backup = バックアップ
backup-words = 復元用の単語
backup-done = 書き留めて確認済み
backup-missing = まだ書き留めていません。ディスクが壊れると、お金も失われます。
backup-check = 再確認
backup-write = 書き留める…
withdrawals = 出金の記録
withdrawals-none = まだありません。
withdrawal-signed = 署名済み、未送信
withdrawal-sent = 送信済み
withdrawal-included = ブロック { $block }、未確定
withdrawal-final = 着金、ブロック { $block }
withdrawal-expired = 送信されず、お金は残っています
withdrawal-dropped = チェーンが拒否、お金は残っています
wallet-none = まだウォレットがありません
wallet-none-why = 報酬は、署名された受領証としてこのパソコンに保存され、期限切れになりません。ウォレットがあると出金できます。
wallet-create = ウォレットを作る…
wallet-restore = 単語から復元…
wallet-unreadable = ウォレットファイルを読めません
wallet-unreadable-why = Hearth はファイルをそのまま残し、新しいウォレットで上書きしません。復元用の単語があれば、ウォレットを復元できます。
balance-missing = 今は残高が分かりません

## プライバシー
range-today = 今日
range-day = 1日
yesterday = 昨日
day-before = 前の日
day-after = 次の日
close = 閉じる
save-csv = CSVで保存…
save-json = JSONで保存…
left-today = 今日このパソコンから出たもの
left-day = この日にこのパソコンから出たもの
left-span = この期間にこのパソコンから出たもの
came-in = 受信は { $bytes }。
journal-count = Hearth の記録
journal-compared = Hearth の記録（両方が数えた分）
system-count = OS 自身の計測
system-difference = 差
system-none = この OS にはありません
system-none-why = このプログラムだけを数える OS の計測を Hearth は読み取っていません。数値は Hearth の記録だけに基づきます。
system-equal-why = Linux も接続ごとにバイト数を数えていて、Hearth は接続の終わりにそれを尋ねます。二つは等しいはずです。
system-differs = { $count }回の送信で二つの計測が異なります（合計の差：送信 { $sent }、受信 { $received }）。Hearth の誤りです。記録を保存して報告してください。
system-underway = { $count }回の送信はまだ続いており、終わったときに比べます。
system-missing = { $count }回の送信（{ $bytes }）は比べられません。途中で Hearth が終了したか、比較を始める前の記録のため、OS の計測がないからです。
witness-differs = OS の計測：送信 { $sent }、受信 { $received }
witness-missing = OS の計測なし
witness-underway = 送信中
witness-no-connection = 接続できず、送信なし
privacy-plot = 1時間ごとの送信量
privacy-plot-days = 1日ごとの送信量
privacy-hour = 時刻
by-label = まとめ方
by-purpose = 目的
by-destination = 送り先
by-job = 仕事
by-publisher = 依頼者
sum-job-unread = 名前をまだ読んでいない仕事（{ $program }）
sum-publisher-unread = 依頼者をまだ読んでいない仕事
sum-no-job = 仕事以外：稼働の通知、お金、測定
sum-rest = それより少ないもの
column-purpose = 目的
column-to = 送り先
column-sent = 送信（バイト）
column-received = 受信（バイト）
column-count = 回数
look-inside = 中を見る
look-inside-latest = 最新のメッセージの中を見る：{ $purpose }
look-inside-one = 中を見る：{ $purpose }、{ $time }
look-head = 送信した内容
look-sent = 送信
look-body = 本文
look-request = リクエスト
look-words = 読める形
look-cbor = 本文は CBOR です。ここでは通常の記法で表しています。h'…' はバイト列、<< >> はメッセージの中のメッセージです。
look-empty = リクエストのほかには何も送っていません。
look-long = 本文の長さは { $bytes } です。この長さの本文については、大きさと次の BLAKE3 ハッシュだけを残します。
look-bytes = すべてのバイト
look-proof = これは説明ではなく、送ったそのものです。送るために封をする前の状態で、https の接続ではこの外側に封が加わります。
look-kept = このパソコンの中だけに残り、新しいメッセージと入れ替わるか、あなたが履歴を消すまで保存されます。
look-gone = このメッセージはもう残っていません。記録の行は残ります。
look-save = テキストで保存…
copy = コピー
copied = コピーしました。
copy-refused = OS がコピーを許可しませんでした。代わりにメッセージを保存できます。
latest-head = 最近の送信
latest-note = 何も書かれていない送信では、OS 自身の計測が Hearth の記録と同じです。
latest-more = { $count }件すべてを表示
latest-fewer = 表示を減らす
latest-estimated = 最大値。途中で Hearth が終了
column-when = 時刻
column-what = 内容
learn-head = ほかの人に分かること
learn-coordinator = コーディネーター
learn-coordinator-what = IPアドレス、グラフィックボードとそのドライバー、共有した時刻（つまり、だれも使っていないおおよその時刻）、計算した内容、登録した受取アドレス、出金の送り先
learn-home = ほかの家庭
learn-home-what = 仕事に必要なファイルをこのパソコンとやり取りするとき、IPアドレス
learn-publisher = 依頼者
learn-publisher-what = 仕事の結果だけ。あなたのことは何も分からず、あなたのパソコンだったことも分かりません
learn-chain = チェーンのノード
learn-chain-what = IPアドレスと、Hearth が問い合わせるウォレット
learn-anyone = だれでも
learn-anyone-what = ウォレットが受け取ったものとその行き先（チェーンは公開情報）
learn-provider = インターネット回線の会社
learn-provider-what = Hearth がどのサーバーと、いつ、どれだけ通信したか。サーバーのアドレスが https でなく http で始まる場合は、その内容も
stored-head = ここに保存されているもの
stored-journal = 送信の記録
stored-journal-since = { $bytes }（このページの全部）、{ $when } から。あなたが消すまで残ります
stored-journal-empty = { $bytes }、まだ空です
stored-messages = メッセージそのもの
stored-messages-what = { $count }件、{ $bytes }。最新の { $most }件、合計 { $size } までを残します。本文が { $body } より長いものは大きさとハッシュだけです
stored-never = 保存も送信もしないもの
stored-never-what = 名前、ファイル一覧、あなたの操作
deleted-at = { $when } までに終わった送信の記録は、あなたが消しました。
delete-head = 履歴を消す
delete-history = 履歴を消す…
delete-what = これまでの送信の記録と、残してあるメッセージをこのパソコンから消します。元に戻せません。
delete-not = 送ったものは送ったままです。受け取った側にもチェーンにも、何の変わりもありません。
delete-stays = いま送信中のものと、この消去の時刻は記録に残ります。保存したファイルはそのままです。
delete-keep = 残す
delete-yes = 記録を消す
delete-done = 記録を消しました。
privacy-empty = この期間にこのパソコンから出たものはありません。
purpose-coordinator = 稼働の通知、仕事の受け取り、受領証
purpose-work_input = 仕事の取得
purpose-result = 仕事の結果
purpose-epoch_list = 支払い一覧の確認
purpose-payout = 受取アドレスと出金
purpose-chain_rpc = ウォレット：残高の確認
purpose-measurement = 回線の測定
purpose-publish = 仕事の公開
purpose-update = 新しい版の確認
purpose-peer_serve = ほかの家庭へ届けたファイル
purpose-peer_fetch = ほかの家庭から受け取ったファイル
purpose-peer_reach = ほかの家庭とつながる準備
purpose-unknown = その他の目的：{ $code }

## 設定
settings-search = 設定を検索
settings-none = この語を含む設定はありません。
group-away = 共有するとき
set-enabled = このパソコンを共有する
set-idle = 始めるまで
    .note = マウスとキーボードの操作がない時間
set-light = あなたが使っている間
    .note = 読み書きの間、グラフィックボードの一部だけを使います。ゲーム、映画、通話の間は休みます
set-light-none = 休む
set-battery = バッテリー駆動でも
set-power_saver = 省電力モードでも
set-calls = マイクかカメラの使用中でも
set-media = 音楽や映画の再生中でも
    .note = 画面を点けたままにするプログラムも含みます
set-cpu = ほかのプログラムがCPUを使うと休む
    .note = この割合を超えたとき
set-programs = 動いている間は必ず休むプログラム
    .note = 名前を半角のコンマで区切ります
group-limits = 上限
set-card = グラフィックボードの上限
    .note = 80 % 未満では静かで低温になります
set-celsius = グラフィックボードを保つ温度
    .now = 今は { $celsius } °C
set-cpu_celsius = CPUがこの温度を超えたら休む
set-memory = グラフィックボードのメモリの上限
    .note = それより多く要る仕事は返します
set-disk = 残しておくディスクの空き
group-hours = 時間帯
set-hours = 共有する時間帯
    .note = クリックで変更。矢印キーとスペースキーも使えます。
hours-table = 共有してよい曜日と時間
hours-cell = { $day } { $hour }:00
hours-all = すべての時間
group-bandwidth = 回線
set-upload = アップロードの上限
    .auto = 測定した回線の 75 %
    .measured = 測定値は { $measured } Mbit/s
set-upload-auto = 自動
set-month = データ量の上限
    .note = 空欄は上限なし
set-metered = 従量制の接続でも
set-vpn = VPN 経由でもアップロードする
month-unit = GB／月
group-money = 電気
set-price = 電気の単価
    .note = 電気代を引いた額の計算に使います。検針票にあります。
price-unit = / kWh
set-token = 1 { $unit } の価値
    .note = 電気の単価と同じ通貨で
set-watts = 共有中のグラフィックボードの電力
    .note = 読み取れないときの、増える分
group-look = 表示と言語
set-language = 言語
language-system = システムに合わせる
language-en = English
language-ja = 日本語
set-appearance = 外観
appearance-system = システム
appearance-light = ライト
appearance-dark = ダーク
group-itself = Hearth について
set-autostart = パソコンの起動時に始める
    .note = トレイに入ります
set-measure = もう一度このパソコンを測定
measure-now = 測定

## 初期設定
welcome-step = 手順 { $step }／3
back = 戻る
continue = 次へ
welcome-1 = 使っていない間だけ、このパソコンを貸す
    .lead = Hearth は、グラフィックボードで有償の仕事をします。していることはすべて見え、報酬はあなたのものです。
welcome-what = 何を
welcome-what-card = <b>グラフィックボード</b>：だれかが対価を払う計算に使います。たとえば望遠鏡の観測データの探索です。
welcome-what-upload = <b>空いているアップロード</b>：結果を渡し、次の仕事を受け取り、ほかの家庭の仕事に必要なファイルを届けるために使います。
welcome-when = いつ
welcome-when-body = マウスとキーボードの操作が <b>{ $idle }</b> ないとき。バッテリー駆動のときは動きません。戻れば <b>50 ミリ秒</b>以内にお返しします。
welcome-never = しないこと
welcome-never-files = あなたのファイル、カメラ、マイク、画面には触れません。仕事にはその手段がありません。
welcome-never-traffic = 他人のインターネット通信を通しません。ほかの人のためにあなたのIPアドレスがウェブサイトに知られることはありません。
welcome-never-mining = マイニング、アカウント登録、預け金、追跡はありません。
welcome-2 = このパソコンにできること
    .lead = ここで約20秒かけて測定します。結果はこのパソコンから出ず、報酬にも関わりません。
measure-card = グラフィックボード
measure-line = 回線
measure-line-note = 片方向 25 MB まで
measure-start = 測定を始める
measure-again = もう一度測定
measure-cancel = やめる
measure-done = 完了
measure-waiting = 未測定
measure-progress = 測定の進み具合
measure-speed = { $float } GFLOP/s、{ $integer } GIOP/s、メモリー { $memory } GB/s。
measure-software = これはソフトウェア描画で、ボードの代わりにCPUが計算するため、この数値は評価に入りません。結果を受け取るのは1台の中のネットワークだけです。
measure-held = { $seconds } 秒間、最高速度の { $share } % を保ちました。
measured-open = 数値の意味
measured-software = これはCPUの数値です。グラフィックボードについては何も示さず、評価に入りません。
measured-compare = 測り方は Hearth の文書に書いてあります。ほかのボードとの順位は示しません。Hearth が責任を持てる比較の出典がないためです。
measured-unknown = 不明
measured-not-offered = 非対応
measured-runs = { $runs } 回のうち最高の値です。中央値は { $median }、ばらつきは { $spread } %。
measured-float = 小数の計算
    .why = 32ビット小数の乗算と加算の回数で、単位は毎秒10億回です。画像やシミュレーションに使われます。
measured-integer = 整数の計算
    .why = 32ビット整数の乗算と加算の回数で、単位は毎秒10億回です。どのボードでも同じ結果になるべき仕事に使われます。
measured-half = 短い小数の計算
    .why = 16ビット小数での同じ計算です。精度は低く、速さはしばしば2倍になります。
measured-half-missing = このボードまたはドライバーは16ビット小数に対応していません。
measured-memory = ボード上のメモリー
    .why = ボード内でコピーするときに読み書きしたバイト数で、単位は毎秒10億バイトです。観測データの探索はこの速さで決まります。
measured-to_card = ボードへの転送
    .why = 仕事のデータがこのパソコンのメモリーからボードに届く速さです。
measured-from_card = ボードからの転送
    .why = 結果が戻る速さです。仕事の1区間が返す最大量の 4 MiB で測りました。
measured-dispatch = 仕事の受け渡し
    .why = ほとんど空の仕事を渡してから、終わったと返事があるまでの時間です。
measured-held = 速度の維持
    .why = 休みなく { $seconds } 秒間計算して、最高速度の { $share } % を保ちました。{ $software ->
        [true] このCPUで動くほかのプログラムの影響で下がります。
       *[other] 100 % より低いのは、長く働くと電力や熱のために遅くなることを意味します。
    }
measured-celsius = 温度
    .why = 終わりに計算を続けながら読んだ値です。開始前は { $before }。
measured-watts = 電力
    .why = ボード全体の値で、終わりに計算を続けながら読みました。開始前は { $before }。
measured-throttle = 速度を抑えたもの
measured-card_memory = メモリー
    .why = このうち { $used } を、すべてのプログラムを合わせて使用していました。
throttle-none = なし
    .why = ボードは自分で選んだクロックで動いていました。
throttle-power_limit = 電力の上限
    .why = これ以上の電力を使えません。多くのボードで、全力のときには普通のことです。
throttle-heat = 温度
    .why = 熱くなり、最高のクロックで動けませんでした。ほこり、閉じたケース、暑い部屋がよくある原因です。
throttle-supply = 電源
    .why = 電源が、使う電力を減らすようボードに求めました。
throttle-setting = 設定
    .why = プログラム、画面、または組になったボードが、低いクロックを指定しています。
throttle-hardware = ハードウェア
    .why = 理由は示されませんが、熱か電力のために遅くなりました。
unread-no_driver = ボードのドライバー、または数値を読み出す部品が、このパソコンにありません。
unread-not_permitted = このユーザーが読むことを、システムが許していません。
unread-lost = ボードから応答がありません。取り外されたか、パソコンの再起動が必要です。
unread-not_offered = このボード、ドライバー、システムには、Hearth が読めるセンサーがありません。
unread-driver_mismatch = ドライバーが更新されましたが、古いものがまだ動いています。パソコンを再起動すると直ります。
unread-ambiguous = 同じ種類のボードが複数あり、どれが計算するのか示されません。
unread-asleep = ボードは節電のため眠っています。読むと起こしてしまいます。
unread-failed = ドライバーがエラーを返しました。
measure-speed-up = 上り { $up } Mbit/s、下り { $down } Mbit/s、往復 { $rtt } ミリ秒。
step-opening = グラフィックボードを準備しています…
step-float = 小数の計算を測定しています…
step-integer = 整数の計算を測定しています…
step-half = 短い小数の計算を測定しています…
step-memory = メモリーを測定しています…
step-transfer = ボードとの間の転送を測定しています…
step-sustained = 速度を保てるかを測定しています…
step-latency = 往復時間を測定しています…
step-download = 下りを測定しています…
step-upload = 上りを測定しています…
welcome-electricity = 電気
    .note = 共有中に増える分
welcome-loss = 有償の仕事がなく、報酬がない日もあります。報酬より電気代のほうが高くなるときは、Hearth は休みます。
welcome-3 = 報酬をどこで受け取りますか
    .lead = ウォレットがなくても始められます。報酬は、署名された受領証としてこのパソコンに保存され、期限切れになりません。
wallet-later = あとで決める
    .note = 「ウォレット」のページでいつでもできます。
wallet-now = ここでウォレットを作る
    .note = 12の単語を書き留め、パスフレーズを決めます。鍵はこのパソコンから出ません。
wallet-have = 復元用の単語がある：ウォレットを復元する
    .note = 専用のウィンドウ「金庫」に入力します。
welcome-autostart = パソコンの起動時に、トレイで始める
welcome-share-now = 見て回っている今も、控えめに共有する
welcome-finish = 共有を始める

## エージェントなし
no-agent = Hearth が動いていません
    .why = このウィンドウは Hearth の様子を示すものですが、Hearth が応答しません。プログラムのメニューから Hearth を起動すると、このウィンドウは自動的に続きます。これまでの報酬はこのパソコンに安全に残っています。
other-build = このウィンドウと Hearth の版が異なります
    .why = このウィンドウを閉じ、トレイから開き直すと、同じ版になります。
connecting = 接続しています…
    .why = Hearth に今の様子を問い合わせています。

## 金庫
vault-title = Hearth の金庫
vault-cancel = やめる
vault-only-here = パスフレーズを尋ねるのはこのウィンドウだけです。どの人にも、どのウェブサイトにも、パスフレーズや復元用の単語は必要ありません。
vault-passphrase = パスフレーズ
vault-passphrase-new = 新しいパスフレーズ
vault-passphrase-again = もう一度
vault-passphrase-differ = 2つのパスフレーズが異なります。
vault-working = お待ちください…
vault-withdraw = この出金を確認してください
    .lead = 送ったあとは、だれにも取り消せません。
vault-leaves = 残高から出る額
vault-fee = ネットワーク手数料（確定額）
vault-arrives = 受取額（確定額）
vault-address = 0x に続くアドレスです。両端だけでなく、途中のいくつかの組も受け取り側と見比べてください。
vault-address-label = アドレス { $address }
vault-withdraw-do = { $amount } を出金
vault-withdrawn = 出金に署名し、保存しました
    .lead = Hearth が送信し、着金すると「ウォレット」のページに示します。
vault-create = ウォレットを作る
    .lead = パスフレーズは、このパソコンのウォレットの鍵です。出金のたびに必要で、だれにも再設定できません。
vault-suggestion = このまま使えるパスフレーズの例
vault-suggestion-take = 使う
vault-words-count = 復元用の単語
vault-words-12 = 12語
vault-words-24 = 24語
vault-create-do = ウォレットを作る
vault-words = この単語を書き留めてください
    .lead = この順で、紙に。単語を持つ人がお金を持つことになります。単語がなければ、ディスクが壊れたときにお金も失われます。
vault-words-done = 書き留めました
vault-restore = ウォレットを復元する
    .lead = 12または24の単語を、順番どおりに空白で区切って入力してください。
vault-restore-words = 復元用の単語
vault-restore-do = ウォレットを復元
vault-restored = ウォレットを復元しました
    .lead = Hearth がチェーンから残高を読み取っています。
vault-backup = 復元用の単語
    .lead = パスフレーズを入力すると単語が出ます。だれにも見られていないことを確かめてください。
vault-backup-do = 単語を見る
vault-quiz = 3つの単語の確認
    .lead = 書き留めた単語のうち、3つを入力してください。
vault-quiz-word = { $number }番目の単語
vault-quiz-do = 確認
vault-quiz-back = もう一度単語を見る
vault-backed-up = 単語を確認しました
    .lead = 紙は、大切なものと一緒に保管してください。
vault-lost = 金庫の接続が切れました
    .lead = 何も送られていません。このウィンドウを閉じ、「ウォレット」のページからやり直してください。
vault-stays = このウィンドウは自動的に閉じます。

## エラー
error-code = コード：{ $code }
error-other_build = このウィンドウと Hearth の版が異なります。ウィンドウを閉じて、開き直してください。
error-bad_token = この金庫のウィンドウは、すでに終わった決定のために開かれたものです。何も起きていません。「ウォレット」のページからやり直してください。
error-not_allowed = これは金庫だけに許されています。何も起きていません。
error-malformed = Hearth は要求を読めませんでした。何も起きていません。
error-busy = 今は要求が多すぎます。何も起きていません。少し待ってからやり直してください。
error-preference = 設定が範囲の外です。元の値のままです。
error-wallet_missing = このパソコンにウォレットがありません。新しく作るか、単語から復元してください。
error-wallet_unreadable = ウォレットファイルはありますが、読めません。Hearth はそのまま残しました。復元用の単語があれば、ウォレットを復元できます。
error-wallet_exists = このパソコンにはすでにウォレットがあります。Hearth は新しいウォレットで上書きしません。
error-wrong_passphrase = このパスフレーズではウォレットが開きません。何も起きていません。もう一度入力してください。
error-weak_passphrase = このパスフレーズは推測されやすいものです。互いに関係のない6つの単語など、もっと長いものにしてください。
error-bad_words = これは復元用の単語ではありません。入力の誤りや抜けた単語がないか確かめてください。
error-quiz_failed = 少なくとも1つの単語が異なります。紙を見て、もう一度入力してください。
error-address_malformed = これはアドレスではありません。アドレスは 0x と、0〜9、a〜f の40文字です。
error-address_checksum = このアドレスには入力の誤りがあり、チェックサムが合いません。受け取り側からコピーし直してください。
error-address_forbidden = このアドレスに送るとお金が失われるため、Hearth は送りません。
error-amount_malformed = これは金額ではありません。5.25 のように、数字と小数点で入力してください。
error-amount_too_precise = 小数点以下の桁数が、トークンの桁数を超えています。
error-amount_above_balance = 残高を超えています。
error-amount_below_fee = 手数料以下のため、何も届きません。
error-withdrawal_pending = 別の出金が進行中です。着金するまでお待ちください。
error-quote_expired = この手数料は期限が切れました。何も送られていません。もう一度確かめてください。
error-chain_unreachable = チェーンのノードの応答がありません。何も送られておらず、お金は安全です。Hearth は問い合わせを続けます。
error-wrong_chain = ノードが、このネットワークとは別のチェーンのものです。何も送られていません。
error-unknown_contract = チェーン上の契約が、この Hearth の知るものと異なります。何も送られていません。
error-coordinator_unreachable = コーディネーターの応答がありません。これまでの報酬はここに安全に残っています。Hearth は問い合わせを続けます。
error-coordinator_version = コーディネーターの通信規約の版が異なります。これまでの報酬はここに安全に残っています。新しい版の Hearth を探してください。
error-profile_signature = ネットワークのファイルの署名が合いません。ネットワークには参加していません。
error-profile_counter = このネットワークのファイルは、手元のものより古いものです。ネットワークは元のままです。
error-profile_expired = このネットワークのファイルは期限が切れています。新しいものをネットワークに求めてください。
error-no_network = まだどのネットワークにも参加していません。ネットワークのファイルを開いて参加してください。端末では hearth join FILE を実行します。
error-profile_unreadable = ネットワークのファイルを読めません。ネットワークには参加していません。
error-disk_full = ディスクがいっぱいです。これまでの内容は安全です。空きを作ってから、やり直してください。
error-preferences_unreadable = 設定のファイルを読めませんでした。ファイルは別に保存し、設定は初期値に戻しました。
error-journal_unreadable = 通信の記録を読めませんでした。ファイルは別に保存し、新しい記録を始めました。
error-no_driver = 計算できるドライバーが見つかりません。グラフィックボードのドライバーか、パッケージ mesa-vulkan-drivers を入れてください。
error-no_display = ウィンドウを出す画面がありません。ターミナルでは hearth --headless が画面なしで動きます。
error-internal = 起きるはずのない失敗が起きました。これまでの報酬はここに安全に残っています。

## トレイとターミナル
tray-open = Hearth を開く
tray-quit = Hearth を終了
tray-reasons = { $count }つの理由すべて
tray-today = 今日（電気代を引いた額）：{ $amount } { $unit }
tray-today-paid = 今日（電気代を引く前の額）：{ $amount } { $unit }
tray-window-closed = 共有はトレイで続きます。
terminal-state = 状態：{ $state }
terminal-since = 開始：{ $since }
terminal-network = ネットワーク：{ $network }
terminal-card = グラフィックボード：{ $name }
terminal-work = 仕事：{ $publisher } の { $title }、{ $total }区間のうち{ $done }
terminal-sent = 今日の送信量：{ $bytes }
terminal-privacy-system = 両方が数えた { $counted }回の送信：Hearth の記録は { $ours } バイト、Linux の計測は { $theirs } バイト。異なるもの：{ $differing }回。比べていないもの：{ $missing }回。
terminal-privacy-none = OS 自身の計測：この OS にはありません。
terminal-done = 完了しました。
