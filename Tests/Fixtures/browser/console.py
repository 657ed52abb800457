"""The console in real Chromium: console.py BASE ALLOWED_PORT FOREIGN_PORT [SCENARIO...]

Tokens come by the environment: ADMIN, READER (models:read infer:*), LIMITED (infer:iris); WORDS is JSON of accounts and the
sentences the SDK has for them. Prints one JSON object: for each scenario "ok", or what went wrong.
"""
import http.server
import json
import os
import re
import sys
import threading
import time
import traceback

from playwright.sync_api import expect, sync_playwright

BASE, ALLOWED, FOREIGN = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ADMIN, READER, LIMITED = (os.environ[name] for name in ("ADMIN", "READER", "LIMITED"))
SECOND = 1000
expect.set_options(timeout=20 * SECOND)

# Kept from the first moment on: what the policy refused, and each phase that a call's progress said.
WATCH = """
window.refused = [];
window.said = [];
document.addEventListener("securitypolicyviolation", (event) => refused.push(event.violatedDirective));
new MutationObserver(() => {
  const word = document.querySelector(".progress:not([hidden]) b")?.textContent;
  if (word && window.said.at(-1) !== word) window.said.push(word);
}).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
"""


class Visit:
    """A page of its own. Its end looks for what must never have happened."""

    def __init__(self, browser, width=1280, height=860, allowed=()):
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, ignore_https_errors=True)
        self.page = self.context.new_page()
        self.page.add_init_script(WATCH)
        self.allowed, self.errors = allowed, []
        self.page.on("console", lambda message: self.hear(message.type, message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def hear(self, kind, text):
        if kind in ("error", "warning") and not any(word in text for word in self.allowed):
            self.errors.append(text)

    def __enter__(self):
        self.page.goto(BASE + "/")
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            refused = self.page.evaluate("window.refused")
            assert refused == [], f"the policy refused {refused}"
            assert self.errors == [], f"console errors: {self.errors}"
        elif os.environ.get("SHOTS"):
            self.page.screenshot(path=os.path.join(os.environ["SHOTS"], "failed.png"))
        self.context.close()

    def sign_in(self, token):
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("navigation", name="Views")).to_be_visible()

    def open(self, view):
        self.page.get_by_role("navigation", name="Views").get_by_role("link", name=view).click()

    def choose(self, model):
        self.open("Try a call")
        self.page.get_by_label("Model", exact=True).select_option(model)
        expect(self.page.locator("#input-X")).not_to_have_value("")

    def ask(self, token, path, **options):
        return self.context.request.fetch(BASE + path, headers={"authorization": f"Bearer {token}"}, **options)


def signing_in(browser):
    with Visit(browser) as visit:
        page = visit.page
        expect(page.get_by_label("Token")).to_be_focused()
        page.get_by_label("Token").fill(READER)
        page.keyboard.press("Enter")
        row = page.get_by_role("row", name=re.compile("^iris v1"))
        expect(row).to_contain_text("asleep: never called since the start")
        expect(page.locator(".models tbody tr")).to_have_count(7)
        expect(page.get_by_role("meter", name="Own memory of models")).to_be_visible()
        # The token is in no place that outlives the page, and in none that shows.
        stored = page.evaluate("""async () => [localStorage.length, sessionStorage.length, document.cookie,
            (await indexedDB.databases()).length, (await caches.keys()).length]""")
        assert stored == [0, 0, "", 0, 0], stored
        assert READER not in page.content() and READER not in page.url
        assert visit.context.cookies() == []
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Token")).to_be_focused()
        assert page.get_by_role("row").count() == 0
        visit.sign_in(READER)
        page.reload()
        expect(page.get_by_label("Token")).to_be_visible()


def wrong_token(browser):
    with Visit(browser, allowed=("401",)) as visit:
        page = visit.page
        page.get_by_label("Token").fill("slc_" + "A" * 43)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_have_text("The gateway does not know this token, or it has ended.")
        expect(page.get_by_label("Token")).to_be_focused()
        expect(page.get_by_label("Token")).to_have_attribute("aria-invalid", "true")
        page.get_by_label("Token").fill("two words")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("This is no token")
        visit.sign_in(READER)


def cold_call(browser):
    with Visit(browser) as visit:
        page = visit.page
        visit.sign_in(ADMIN)
        slept = visit.ask(ADMIN, "/sluice/v1/models/digits-forest/control", method="POST", data={"action": "sleep"})
        assert slept.status == 200, slept.text()
        visit.choose("digits-forest")
        page.get_by_role("button", name="Call", exact=True).click()
        expect(page.locator(".output")).not_to_have_count(0)
        said = page.evaluate("window.said")
        assert any(word in said for word in ("The model is being loaded", "The model is being warmed up", "The model is waiting for a loader")), said
        timing = page.locator(".timing")
        expect(timing).to_contain_text("cold start")
        expect(timing.locator("dt", has_text="load")).to_be_visible()
        expect(page.locator("#said")).to_contain_text("Answered in")
        # The second call finds it awake.
        page.get_by_role("button", name="Call", exact=True).click()
        expect(timing).to_contain_text("warm")
        visit.open("Models")
        expect(page.get_by_role("row", name=re.compile("^digits-forest"))).to_contain_text("awake for")


def cancelling(browser):
    with Visit(browser, allowed=("404",)) as visit:
        page = visit.page
        visit.sign_in(ADMIN)
        visit.open("Try a call")
        page.get_by_label("Model", exact=True).select_option("endless")
        # It has no golden case, and two inputs, one of them a single value.
        page.locator("#input-x").fill("[1]")
        page.locator("#input-always").fill("[true]")
        expect(page.get_by_role("button", name="Fill in the golden input")).to_be_hidden()
        page.get_by_role("button", name="Call", exact=True).click()
        expect(page.locator(".progress .number")).to_have_text(re.compile("s$"))
        # Awake: the run begins.
        deadline = time.monotonic() + 20
        account = "/sluice/v1/models/endless/account"
        while (model := visit.ask(ADMIN, account).json()["models"][0])["state"] != "awake":
            assert time.monotonic() < deadline, model
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator(".answer")).to_contain_text("Cancelled after")
        expect(page.get_by_role("button", name="Call", exact=True)).to_be_focused()
        # The gateway has stopped the run: the model can leave.
        slept = visit.ask(ADMIN, "/sluice/v1/models/endless/control", method="POST", data={"action": "sleep"})
        assert slept.status == 200, slept.text()
        stats = visit.ask(ADMIN, "/v2/models/endless/stats").json()["model_stats"][0]["inference_stats"]
        assert stats["success"]["count"] == 0, stats


def probabilities(browser):
    with Visit(browser) as visit:
        page = visit.page
        visit.sign_in(READER)
        visit.choose("iris")
        field = page.get_by_label("X", exact=True)
        expect(field).to_have_value(re.compile(r"^\[\[[\d., ]+\]\]$"))
        expect(page.locator("#input-X-type")).to_have_text("FP32 [-1, 4]")
        field.fill("[[5.1, 3.5, 1.4, 0.2], [6.9, 3.1, 5.4, 2.1]]")
        page.get_by_role("button", name="Call", exact=True).click()
        chances = page.locator(".chances")
        expect(chances).to_have_count(2)
        expect(chances.first.locator("tr.top")).to_contain_text("98.2 %")
        wide = [chances.first.locator(".track span").nth(at).evaluate("bar => bar.getBoundingClientRect().width") for at in range(3)]
        assert wide[0] > 20 * wide[1] > 0, wide
        expect(page.locator(".output", has_text="label")).to_contain_text("INT64 [2]")
        # A flat array fills the open size of the shape.
        field.fill("[5.1, 3.5, 1.4, 0.2]")
        page.get_by_role("button", name="Call", exact=True).click()
        expect(chances).to_have_count(1)
        lines = {}
        for name in ("curl", "sluice call", "Swift", "JavaScript"):
            page.get_by_role("tab", name=name).click()
            lines[name] = page.locator("#same-call-panel code").inner_text()
            assert READER not in lines[name] and "5.1" in lines[name], lines[name]
        # The module's line runs as it is, but for where it prints.
        script = re.sub(r'import (.*) from (".*");', r"const \1 = await import(\2);", lines["JavaScript"])
        script = script.replace("console.log(answer.outputs);", "return Number(answer.outputs.label.data[0]);")
        assert page.evaluate("async (token) => {" + script + "}", READER) == 0
        return lines


def bad_input(browser):
    with Visit(browser, allowed=("400",)) as visit:
        page = visit.page
        visit.sign_in(READER)
        visit.choose("iris")
        field, error = page.get_by_label("X", exact=True), page.locator("#input-X-error")
        # What the page sees by itself, and what only the gateway knows.
        for text, message in [
            ("[[1, 2", "X is not JSON"), ("", "X needs a JSON array"), ("[[1], [2, 3]]", "different lengths"),
            ("[1, 2, 3]", "do not fill the shape"), ("[[1, 2, 3]]", "X"), ('[["a", 2, 3, 4]]', "X"), ("[[1, 2, 3, 1e999]]", "X"),
        ]:
            field.fill(text)
            expect(error).to_be_hidden()
            page.get_by_role("button", name="Call", exact=True).click()
            expect(error).to_contain_text(message)
            expect(field).to_have_attribute("aria-invalid", "true")
            expect(field).to_be_focused()
        page.get_by_role("button", name="Fill in the golden input").click()
        expect(error).to_be_hidden()
        page.get_by_role("button", name="Call", exact=True).click()
        expect(page.locator(".chances")).to_have_count(1)


def forbidden_model(browser):
    with Visit(browser, allowed=("403", "404")) as visit:
        page = visit.page
        visit.sign_in(LIMITED)
        # Only what the token names is there, without what it costs and without what administrators may do.
        expect(page.locator(".models tbody tr")).to_have_count(1)
        expect(page.get_by_role("meter", name="Own memory of models")).to_have_count(0)
        expect(page.get_by_role("link", name="Clients")).to_have_count(0)
        page.get_by_role("link", name="iris", exact=True).click()
        expect(page.get_by_role("link", name="Try a call").last).to_be_visible()
        expect(page.locator("[id^=act-]")).to_have_count(0)
        said = []
        for model in ("digits-mlp", "nothing-there"):
            page.evaluate(f"location.hash = '#/try/{model}'")
            expect(page.locator("#try-error")).to_contain_text(model)
            said.append(page.locator("#try-error").inner_text().replace(model, "MODEL"))
        assert said[0] == said[1], said
        for path in ("/sluice/v1/clients", "/sluice/v1/account"):
            assert visit.ask(LIMITED, path).status == 403, path
        refused = visit.ask(READER, "/sluice/v1/models/iris/control", method="POST", data={"action": "sleep"})
        assert refused.status == 403, refused.text()
        assert visit.ask(READER, "/sluice/v1/clients").status == 403
        for path in ("/sluice/v1/clients", "/sluice/v1/account", "/sluice/v1/access", "/console/nothing"):
            assert visit.context.request.get(BASE + path).status == 401, path


def administration(browser):
    with Visit(browser, allowed=("409", "503")) as visit:
        page = visit.page
        visit.sign_in(ADMIN)
        page.get_by_role("link", name="wine-pipeline", exact=True).click()
        detail = page.get_by_role("complementary", name="The chosen model")
        state, outcome = detail.locator(".state"), detail.get_by_role("status")
        detail.get_by_role("button", name="Wake").click()
        expect(outcome).to_have_text("wine-pipeline is awake")
        expect(state).to_have_text("awake")
        detail.get_by_role("button", name="Pin", exact=True).click()
        expect(outcome).to_contain_text("is pinned")
        expect(detail.locator(".why-full")).to_contain_text("is pinned")
        detail.get_by_role("button", name="Unpin").click()
        expect(outcome).to_have_text("wine-pipeline is not pinned")
        detail.get_by_role("button", name="Put to sleep").click()
        expect(outcome).to_have_text("wine-pipeline is asleep; its memory is free")
        expect(state).to_have_text("asleep")
        # Taking it out is asked twice.
        detail.get_by_role("button", name="Take out of service").click()
        expect(state).to_have_text("asleep")
        detail.get_by_role("button", name="Take it out?").click()
        expect(state).to_have_text("out of service")
        expect(detail.locator(".why-full")).to_contain_text("out of service: ")
        detail.get_by_role("button", name="Put into service").click()
        expect(state).to_have_text("awake")
        visit.open("Clients")
        row = page.get_by_role("row", name=re.compile("^reader"))
        expect(row).to_contain_text("default")
        expect(row.get_by_role("meter", name=re.compile("^Calls today: [\\d,]+ left"))).to_be_visible()


def live(browser):
    with Visit(browser) as visit:
        page = visit.page
        visit.sign_in(READER)
        visit.open("Live")
        body = {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]}
        lines = page.locator("svg path.line")

        def some(chart):
            return page.locator("section", has=page.get_by_role("heading", name=chart)).locator(".figure")
        for _ in range(40):
            assert visit.ask(READER, "/v2/models/iris/infer", method="POST", data=body).status == 200
        expect(some("Calls")).to_have_text(re.compile(r"^[\d.,]+/s$"))
        expect(some("Latency")).to_have_text(re.compile(r"^[\d.]+ m?s$"))
        expect(some("Memory")).to_have_text(re.compile(r"own [\d.]+ .iB"))
        expect(lines).not_to_have_count(0)
        chart = page.get_by_role("img", name=re.compile("^Memory of models of the last five minutes; now"))
        chart.focus()
        page.keyboard.press("ArrowLeft")
        expect(page.get_by_role("img", name=re.compile("^Memory of models of the last five minutes; then"))).to_be_visible()
        # What the gateway does not answer is said, and forgotten when it does.
        visit.allowed = ("ERR_INTERNET_DISCONNECTED", "Failed to load resource")
        visit.context.set_offline(True)
        expect(page.locator("#notice")).to_contain_text("The gateway does not answer")
        visit.context.set_offline(False)
        expect(page.locator("#notice")).to_be_hidden()


def by_keyboard(browser):
    with Visit(browser) as visit:
        page = visit.page

        def tab_to(selector, most=60):
            for _ in range(most):
                page.keyboard.press("Tab")
                if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                    ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                    assert ring != "none", f"{selector} shows no focus"
                    return
            raise AssertionError(f"Tab never comes to {selector}")
        page.keyboard.type(READER)
        page.keyboard.press("Enter")
        expect(page.get_by_role("navigation", name="Views")).to_be_visible()
        expect(page.locator(".models tbody tr").first).to_be_visible()
        tab_to("#row-iris-1")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="iris")).to_be_focused()
        # A poll draws anew, and the focus stays.
        tab_to("#detail-try")
        for _ in range(2):
            with page.expect_response(lambda answer: answer.url.endswith("/account")):
                pass
        assert page.evaluate("document.activeElement.id") == "detail-try"
        page.keyboard.press("Enter")
        expect(page.locator("#input-X")).not_to_have_value("")
        tab_to("#input-X")
        tab_to("#try-call")
        page.keyboard.press("Enter")
        expect(page.locator(".chances")).to_have_count(1)
        tab_to("#same-call-curl")
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name="sluice call")).to_be_focused()
        expect(page.locator("#same-call-panel code")).to_contain_text("sluice call iris")
        page.evaluate("document.activeElement.blur()")
        tab_to("#theme")
        page.keyboard.press("Enter")
        assert page.evaluate("document.documentElement.dataset.theme") == "light"
        page.keyboard.press("Enter")
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"


def theme_is_kept(browser):
    """Over a reload, from before the page's own scripts run; and nothing else is."""
    with Visit(browser) as visit:
        page = visit.page
        theme = lambda: page.evaluate("document.documentElement.dataset.theme ?? null")
        stored = lambda: page.evaluate("Object.entries(localStorage)")
        assert theme() is None and stored() == []
        page.locator("#theme").click()
        page.locator("#theme").click()
        assert theme() == "dark" and stored() == [["sluice.theme", "dark"]], (theme(), stored())
        page.route("**/console/app.js", lambda route: route.fulfill(content_type="text/javascript", body=""))
        page.reload()
        assert theme() == "dark", "it waits for the page's module"
        page.unroute("**/console/app.js")
        page.reload()
        visit.sign_in(READER)
        assert stored() == [["sluice.theme", "dark"]], stored()
        expect(page.locator("#theme")).to_have_attribute("aria-label", re.compile("^Theme: dark"))
        # Back to the system's: nothing is left.
        page.locator("#theme").click()
        assert theme() is None and stored() == [], (theme(), stored())
        # A word that is no theme is none of ours.
        page.evaluate("localStorage.setItem('sluice.theme', 'x\" onload=')")
        page.reload()
        expect(page.get_by_label("Token")).to_be_visible()
        assert theme() is None


def on_a_phone(browser):
    with Visit(browser, width=360, height=740) as visit:
        page = visit.page

        def fits(what):
            over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert over <= 0, f"{what} is {over} px too wide"
        fits("signing in")
        visit.sign_in(ADMIN)
        expect(page.locator(".models tbody tr").first).to_be_visible()
        fits("models")
        page.get_by_role("link", name="iris", exact=True).click()
        expect(page.locator("#detail-try")).to_be_in_viewport()
        fits("a model")
        visit.choose("digits-mlp")
        page.get_by_role("button", name="Call", exact=True).click()
        expect(page.locator(".output")).not_to_have_count(0)
        fits("a call")
        for view in ("Live", "Clients"):
            visit.open(view)
            expect(page.get_by_role("heading", name=view, exact=True)).to_be_attached()
            fits(view)


def policy(browser):
    with Visit(browser, allowed=("Content Security Policy", "Refused", "401")) as visit:
        page = visit.page
        page.evaluate("""port => {
            const script = document.createElement("script");
            script.textContent = "window.injected = 1";
            document.body.append(script);
            document.body.setAttribute("style", "color: red");
            document.body.insertAdjacentHTML("beforeend", '<img src="x" onerror="window.injected = 2"><iframe src="/"></iframe>');
            return fetch(`https://127.0.0.1:${port}/`).catch(() => null);
        }""", ALLOWED)
        page.wait_for_function("window.refused.length >= 4")
        refused = set(page.evaluate("window.refused"))
        assert {"script-src-elem", "style-src-attr", "script-src-attr", "connect-src"} <= refused, refused
        assert page.evaluate("window.injected") is None
        page.evaluate("window.refused = []")


def cross_origin(browser):
    """The same request from a page of an origin the settings name, and from one they do not."""
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>elsewhere</title>")

        def log_message(self, *_):
            pass
    said = {}
    for name, port in (("allowed", ALLOWED), ("foreign", FOREIGN)):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Page)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        context = browser.new_context(ignore_https_errors=True)
        try:
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{port}/")
            said[name] = page.evaluate("""async ([base, token]) => {
                try {
                    const answer = await fetch(`${base}/v2/models/iris/infer`, {
                        method: "POST", headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
                        body: JSON.stringify({ inputs: [{ name: "X", datatype: "FP32", shape: [1, 4], data: [5.1, 3.5, 1.4, 0.2] }] }),
                    });
                    return [answer.status, (await answer.json()).model_name];
                } catch (error) {
                    return error.name;
                }
            }""", [BASE, READER])
        finally:
            context.close()
            server.shutdown()
            server.server_close()
    assert said == {"allowed": [200, "iris"], "foreign": "TypeError"}, said


def the_same_words(browser):
    """The page's sentences are those of the SDK, which `sluice models why` prints."""
    with Visit(browser) as visit:
        for case in json.loads(os.environ["WORDS"]):
            said = visit.page.evaluate("""async ({ model, fleet, models }) =>
                (await import("/console/words.js")).why(model, fleet, models)""", case)
            assert said == case["words"], (said, case["words"])


SCENARIOS = [signing_in, wrong_token, cold_call, cancelling, probabilities, bad_input, forbidden_model, administration, live,
             by_keyboard, theme_is_kept, on_a_phone, policy, cross_origin, the_same_words]


def main():
    said = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        for scenario in SCENARIOS:
            if sys.argv[4:] and scenario.__name__ not in sys.argv[4:]:
                continue
            try:
                said[scenario.__name__] = {"ok": True, "lines": scenario(browser)}
            except Exception:
                said[scenario.__name__] = {"ok": False, "trouble": traceback.format_exc()[-2500:]}
        browser.close()
    print(json.dumps(said))


main()
