"""The browser of the tests itself: what it must notice."""


def test_the_browser_draws_with_webgl_and_hears_what_a_page_complains_of(look, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<!doctype html><title>t</title><canvas id=c></canvas><script>"
        "window.gl = !!document.getElementById('c').getContext('webgl2'); console.error('complained')</script>"
    )
    sight = look(page)
    assert sight.page.evaluate("window.gl") is True
    assert sight.complaints == ["error: complained"]
    assert sight.requests == []
    assert sight.shot("Page one").name == "page-one.png"
