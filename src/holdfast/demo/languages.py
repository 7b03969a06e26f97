"""The other languages of the made-up conversations: search has to find more than ASCII."""

# ruff: noqa: RUF001 - Chinese and Japanese are written with full-width punctuation

from __future__ import annotations

from holdfast.demo.english import Grammar, lines, words

JAPANESE = Grammar(
    space="",
    nouns=words("""
        設定 再試行 索引 接続 キャッシュ ログ 試験 画面 処理 要求 応答 認証 権限 在庫 注文 請求書
        通知 検索 履歴 同期 待ち行列 変換 保存先 上限 例外 引数 戻り値 依存関係 締め切り 文書 利用者
        見出し 部品 表示 端末 環境変数 予約 暗号鍵 集計 監視 復元 署名 差分 枝 記録 メモリ 時刻
    """),
    verbs=words("""
        確認 修正 追加 削除 分離 統合 検証 記録 更新 実装 変更 調査 整理 移動 復元 計測 生成 登録
        圧縮
        再開 停止 無視 比較 共有 初期化
    """),
    adjectives=words("""
        古い 新しい 小さな 大きな 不要な 危険な 安全な 正しい 曖昧な 重い 軽い 空の 遅い 一時的な
        重複した
    """),
    adverbs=words("すぐに 必ず 一度だけ 静かに 自動的に 後で 先に まだ もう一度 毎回 たまに"),
    sentences=lines("""
        $nの$nを$vしました。
        $a場合を除き、$nは$b$vされます。
        $iは$nを$vする前に$nを呼び出しています。
        原因は$pにある$a$nでした。
        まず$nを$vし、それから$nを$vします。
        $k件の$nのうち$k件が失敗しています。
        この$nは$b$vされるため、$nには影響しません。
        $nが空のとき、$iは$a$nを返します。
        $nと$nの順序を入れ替えると問題は消えます。
        テストを実行して、$nが$vされることを確かめます。
        $pの$k行目で$nが$vされていません。
        $a$nは残したまま、$nだけを$vするのが安全です。
        念のため、$nの$vも追加しておきました。
        次に$nを見ていきましょう。
    """),
    prompts=lines("""
        $nの$nを$vしてください
        $pで$nが$vされないのはなぜですか？
        $iを$vして、テストも追加してもらえますか
        昨日から$nが遅いです。原因を$vしてください🙏
        いいですね、続けてください
        $nはそのままで、$nだけ$vしたいです
        $nの仕組みを説明してください
    """),
    openers=lines("""
        $nを$vします。
        まず$pを確認します。
        なるほど、原因が分かりました。
        ✅ $nの$vが終わりました。
        次は$nです。
    """),
    headings=lines("""
        変更点
        原因
        次の作業
        $nについて
    """),
    titles=lines("""
        $nの$vについて
        $a$nを直す
        $nと$nの$v
    """),
)

CHINESE = Grammar(
    space="",
    nouns=words("""
        配置 缓存 索引 连接 日志 测试 页面 请求 响应 认证 权限 库存 订单 发票 通知 搜索 历史 同步
        队列
        转换 上限 异常 参数 返回值 依赖 截止时间 文档 用户 标题 组件 终端 环境变量 密钥 统计 监控
        快照
        签名 差异 分支 记录 内存 时间戳
    """),
    verbs=words("""
        检查 修改 添加 删除 拆分 合并 验证 记录 更新 实现 调整 排查 整理 移动 恢复 测量 生成 注册
        压缩
        重启 停止 忽略 比较 共享
    """),
    adjectives=words(
        "旧的 新的 多余的 危险的 安全的 正确的 空的 缓慢的 临时的 重复的 隐藏的 过期的"
    ),
    adverbs=words("立即 总是 只 悄悄 自动 稍后 首先 仍然 再次 每次 偶尔"),
    sentences=lines("""
        我已经$v了$n的$n。
        $i在$v$n之前会先调用$n。
        问题出在$p里$a$n。
        首先$v$n，然后再$v$n。
        $k个$n中有$k个失败了。
        这个$n会$b被$v，因此不会影响$n。
        当$n为空时，$i返回$a$n。
        调换$n和$n的顺序之后，问题就消失了。
        接下来运行测试，确认$n是否被$v。
        $p第$k行没有$v$n。
        保留$a$n，只$v$n会更稳妥。
        另外，我还补充了$n的说明。
    """),
    prompts=lines("""
        请$v一下$n的$n
        为什么$p里的$n没有被$v？
        把$i改一下，顺便加上测试
        $n从昨天开始很慢，帮我$v一下原因 🙏
        好的，继续
        先不要动$n，只$v$n
    """),
    openers=lines("""
        我来$v$n。
        先看一下$p。
        原因找到了。
        ✅ $n已经$v完成。
    """),
    headings=lines("""
        改动
        原因
        后续工作
        关于$n
    """),
    titles=lines("""
        $v$n
        修复$a$n
        $n与$n的$v
    """),
)

KOREAN = Grammar(
    nouns=words("""
        설정 연결 색인 파일 응답 요청 인증 권한 주문 알림 검색 기록 동작 변환 상한 반환값 문장 화면
        제목
        모듈 환경 통신 서명 복원 토큰 세션 작업 블록 목록 입력 출력 시간
    """),
    verbs=words(
        "확인 수정 추가 삭제 분리 통합 검증 갱신 구현 변경 조사 정리 이동 측정 생성 등록 압축"
    ),
    adjectives=words("오래된 새로운 작은 불필요한 위험한 안전한 정확한 느린 임시적인 중복된 숨은"),
    adverbs=words("즉시 항상 한번만 조용히 자동으로 나중에 먼저 아직 다시 매번 가끔"),
    sentences=lines("""
        $n의 $n을 $v했습니다.
        $i 함수는 $n을 $v하기 전에 $n을 호출합니다.
        원인은 $p 안에 있는 $a $n입니다.
        먼저 $n을 $v하고, 그다음에 $n을 $v하겠습니다.
        $n $k개 중에서 $k개가 실패합니다.
        이 $n은 $b $v되므로 다른 $n에는 영향이 없습니다.
        순서를 바꾸면 $a $n 문제는 사라집니다.
        테스트를 실행해서 $n이 $v되는지 보겠습니다.
        $p $k번째 줄에서 $n이 $v되지 않습니다.
    """),
    prompts=lines("""
        $n을 $v해 주세요
        $p에서 $n이 왜 $v되지 않나요?
        $i 이름을 바꾸고 테스트도 $v해 주세요 🙏
        좋아요, 계속해 주세요
        어제부터 $n이 느려요
    """),
    openers=lines("""
        $n을 $v하겠습니다.
        먼저 $p 파일을 보겠습니다.
        ✅ $n을 $v했습니다.
    """),
    headings=lines("""
        변경 사항
        원인
        다음 단계
    """),
    titles=lines("""
        $n $v
        $a $n 고치기
    """),
)

GERMAN = Grammar(
    nouns=words("""
        Schlüssel Ausdruck Übergang Größe Zähler Eintrag Prüfung Störung Rückgabe Überschrift
        Auswahl
        Verbindung Anfrage Antwort Lösung Währung Höhe Länge Öffnung Menü Gerät Änderung Sitzung
    """),
    verbs=words(
        "prüfen ändern löschen ergänzen verschieben zählen trennen schließen öffnen messen"
    ),
    adjectives=words("frühere überflüssige mögliche gültige nötige spätere übrige völlig leere"),
    adverbs=words("zunächst schließlich gelegentlich natürlich ausschließlich außerdem später"),
    sentences=lines("""
        Ich werde $i $b $v, weil dort die $a Ursache liegt.
        In $p fehlt noch etwas: $n und $n passen nicht zusammen.
        Danach läuft der Test für $n wieder, $k von $k Fällen sind grün.
        $n lässt sich $b $v, ohne $n zu berühren.
        Zeile $k in $p ist schuld, dort müssen wir $n $v.
        Übrig bleibt $n; das können wir $b $v.
    """),
    prompts=lines("""
        kannst du $n in $p bitte $v?
        warum schlägt der Test für $n fehl? müssen wir $i $v?
        schön, weiter so 👍
        bitte $n $v und die Prüfung für $n ergänzen
    """),
    openers=lines("""
        Zunächst sehe ich mir $p an.
        ✅ Das wäre erledigt: $n.
        Jetzt $n.
    """),
    headings=lines("""
        Änderungen
        Ursache
        Nächste Schritte
    """),
    titles=lines("""
        $n $v
        $n und $n aufräumen
    """),
)

FRENCH = Grammar(
    nouns=words("""
        requête réponse clé métrique dépôt modèle créneau thème paramètre tâche étape règle série
        bibliothèque événement fenêtre repère entête préférence connexion
    """),
    verbs=words("vérifier déplacer corriger créer répéter préserver compléter fermer décaler lire"),
    adjectives=words("précédente inutilisée vidée cassée répétée protégée dépassée légère"),
    adverbs=words("déjà après très régulièrement séparément complètement peut-être"),
    sentences=lines("""
        La $n $a est gérée par $i, pas par $p.
        Il faut $v la $n avant la prochaine $n, c'est $b la cause du problème.
        J'ai relancé les tests : $k sur $k réussissent à présent.
        À la ligne $k de $p, la $n n'est pas encore $a.
        On pourrait $v la $n, même si la $n reste $a.
        Ça évite de $v la $n à chaque étape.
    """),
    prompts=lines("""
        peux-tu $v la $n dans $p ? elle est $a
        pourquoi la $n est $b $a depuis hier ?
        parfait, continue 🎉
        il reste à $v la $n, après ça on s'arrête là
    """),
    openers=lines("""
        Je commence par $v la $n.
        Voyons $p.
        ✅ C'est réglé, la $n est $a.
    """),
    headings=lines("""
        Modifications
        Cause
        À faire
    """),
    titles=lines("""
        $v la $n
        la $n et la $n
    """),
)

OTHERS = (JAPANESE, CHINESE, GERMAN, KOREAN, FRENCH)
