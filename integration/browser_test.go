package integration

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// screen is what somebody looks at the page on.
type screen struct {
	width, height int64
	phone         bool // has a touch screen
	dark          bool
}

var screens = map[string]screen{
	"phone":   {width: 390, height: 844, phone: true, dark: true},
	"desktop": {width: 1280, height: 900},
}

// browserTimeout is how long one step in a browser may take, on a machine with much else to do.
const browserTimeout = 2 * time.Minute

// newBrowser starts a headless Chromium, and returns the context to open tabs with.
func newBrowser(t *testing.T) context.Context {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.UserDataDir(t.TempDir()))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // which root can't have
	}
	allocator, end := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, closeBrowser := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		assert.NoError(t, chromedp.Cancel(ctx))
		closeBrowser()
		end()
	})
	require.NoError(t, chromedp.Do(ctx))
	return ctx
}

// tab is a tab of a browser. People find what is in it by its role and its name, as screen readers
// tell them.
type tab struct {
	t      *testing.T
	ctx    context.Context
	screen screen
	frame  string // the title of the frame that is looked at, "" for the page itself
	shots  string
	number int

	mu     sync.Mutex
	faults []string // of the page: errors in its console, and requests to others
	hosts  map[string]bool
	// refused is told of pages that are not shown in a frame, which is a fault where it is nil.
	refused chan string
}

// newTab opens a tab. With the test it checks that the page has caused no error, and has asked nobody
// but the hosts that it was opened from.
func newTab(t *testing.T, browser context.Context, s screen) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(browser)
	b := &tab{t: t, ctx: ctx, screen: s, shots: t.ArtifactDir(), hosts: map[string]bool{}}
	t.Cleanup(func() {
		end()
		b.mu.Lock()
		defer b.mu.Unlock()
		assert.Empty(t, b.faults)
	})
	scheme := map[bool]string{true: "dark", false: "light"}[s.dark]
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	viewport := []chromedp.EmulateViewportOption{}
	if s.phone {
		viewport = append(viewport, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait)
	}
	require.NoError(t, chromedp.Listen(ctx, b.hear))
	b.do(chromedp.EmulateViewport(s.width, s.height, viewport...), command(emulation.SetEmulatedMedia, media),
		command(accessibility.Enable, cdp.Empty{}), command(network.Enable, network.EnableParams{}), command(log.Enable, cdp.Empty{}))
	return b
}

// command is an action that sends a command.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// hear collects what the page does wrong.
func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(e.Request.URL)
		if err == nil && (u.Scheme == "blob" || u.Scheme == "about" || u.Scheme == "data") {
			return
		}
		if err != nil || !b.hosts[u.Host] {
			b.faults = append(b.faults, "a request to "+e.Request.URL)
		}
	case *runtime.EventExceptionThrown:
		b.faults = append(b.faults, "an exception: "+e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.faults = append(b.faults, fmt.Sprintf("a line in the console: %s", e.Args[0].Value))
	case *log.EventEntryAdded:
		if b.refused != nil && strings.Contains(e.Entry.Text, "frame-ancestors") {
			b.refused <- e.Entry.Text
			return
		}
		// Answers that are errors are shown to people, and sockets that were refused.
		if !strings.HasPrefix(e.Entry.Text, "Failed to load resource") && !strings.Contains(e.Entry.Text, "WebSocket connection") {
			b.faults = append(b.faults, "in the log: "+e.Entry.Text)
		}
	}
}

// do does something, and fails the test when it can't be done in time.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserTimeout)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText"))
		b.shoot("failure")
		require.NoError(b.t, err, "the page has:\n%s", text)
	}
}

// script returns what a script returns.
func script[T any](b *tab, expression string) T {
	b.t.Helper()
	got, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, expression)
	return got
}

// allow has the page make requests to the hosts of addresses.
func (b *tab) allow(addresses ...string) {
	b.t.Helper()
	for _, address := range addresses {
		u, err := url.Parse(address)
		require.NoError(b.t, err)
		b.mu.Lock()
		b.hosts[u.Host] = true
		b.mu.Unlock()
	}
}

// open goes to an address.
func (b *tab) open(address string) {
	b.t.Helper()
	b.allow(address)
	b.do(chromedp.Navigate(address))
}

// named finds what has a role and a name.
func (b *tab) named(role, name string) []chromedp.QueryOption {
	find := func(ctx context.Context, t *chromedp.Target, root *chromedp.Node) ([]cdp.NodeID, error) {
		in := accessibility.QueryAXTreeParams{NodeID: root.NodeID, Role: role, AccessibleName: name}
		if b.frame != "" {
			frame, err := b.frameDocument(ctx, t, root)
			if err != nil || frame == 0 {
				return nil, err
			}
			in.NodeID, in.BackendNodeID = 0, frame
		}
		found, err := cdp.Call(ctx, t, accessibility.QueryAXTree, in)
		if err != nil {
			return nil, err
		}
		var backend []cdp.BackendNodeID
		for _, node := range found.Nodes {
			if !node.Ignored {
				backend = append(backend, node.BackendDOMNodeID)
			}
		}
		if len(backend) == 0 {
			return nil, nil
		}
		pushed, err := cdp.Call(ctx, t, dom.PushNodesByBackendIDsToFrontend, dom.PushNodesByBackendIDsToFrontendParams{BackendNodeIDs: backend})
		return pushed.NodeIDs, err
	}
	return []chromedp.QueryOption{chromedp.ByFunc(find)}
}

// frameDocument returns the document of the frame that is looked at, 0 while there is none.
func (b *tab) frameDocument(ctx context.Context, t *chromedp.Target, root *chromedp.Node) (cdp.BackendNodeID, error) {
	found, err := cdp.Call(ctx, t, dom.QuerySelector, dom.QuerySelectorParams{NodeID: root.NodeID, Selector: fmt.Sprintf("iframe[title=%q]", b.frame)})
	if err != nil || found.NodeID == 0 {
		return 0, err
	}
	depth := int64(1)
	described, err := cdp.Call(ctx, t, dom.DescribeNode, dom.DescribeNodeParams{NodeID: found.NodeID, Depth: &depth, Pierce: &[]bool{true}[0]})
	if err != nil || described.Node.ContentDocument == nil {
		return 0, err
	}
	return described.Node.ContentDocument.BackendNodeID, nil
}

// settled waits until nothing is being loaded, after which a list might be another one.
func (b *tab) settled() {
	b.t.Helper()
	b.do(chromedp.WaitNotPresent(chromedp.CSS(`[aria-busy="true"]`)))
}

// search looks for something in a list, at once, and waits for what is found.
func (b *tab) search(name, text string) {
	b.t.Helper()
	b.fill("searchbox", name, text)
	b.do(chromedp.KeyEvent(kb.Enter))
	b.settled()
}

// press clicks, or taps, something.
func (b *tab) press(role, name string) {
	b.t.Helper()
	b.settled()
	press := chromedp.Click[string]
	if b.screen.phone {
		press = chromedp.Tap[string]
	}
	b.do(chromedp.ScrollIntoView(role+" "+name, b.named(role, name)...), press(role+" "+name, b.named(role, name)...))
}

// fill types into a field, in place of what is in it.
func (b *tab) fill(role, name, text string) {
	b.t.Helper()
	label := role + " " + name
	selectAll := chromedp.QueryAfter(label, func(ctx context.Context, t *chromedp.Target, nodes []*chromedp.Node) (chromedp.Void, error) {
		field, err := cdp.Call(ctx, t, dom.ResolveNode, dom.ResolveNodeParams{NodeID: nodes[0].NodeID})
		if err != nil {
			return chromedp.Void{}, err
		}
		_, err = cdp.Call(ctx, t, runtime.CallFunctionOn, runtime.CallFunctionOnParams{FunctionDeclaration: "function() { this.select(); }", ObjectID: field.Object.ObjectID})
		return chromedp.Void{}, err
	}, b.named(role, name)...)
	b.do(chromedp.Focus(label, b.named(role, name)...), selectAll, chromedp.KeyEvent(text))
}

// value returns what is in a field.
func (b *tab) value(name string) string {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Value(name, b.named("textbox", name)...))
	require.NoError(b.t, err)
	return value
}

// find waits until there is something with a role and a name.
func (b *tab) find(role, name string) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(role+" "+name, b.named(role, name)...))
}

// gone waits until there is nothing with a role and a name.
func (b *tab) gone(role, name string) {
	b.t.Helper()
	b.do(chromedp.WaitNotPresent(role+" "+name, b.named(role, name)...))
}

// see waits until a text can be read.
func (b *tab) see(text string) {
	b.t.Helper()
	require.NotContains(b.t, text, `"`)
	b.do(chromedp.WaitVisible(chromedp.Search(`//*[text()[contains(normalize-space(.), "` + text + `")]]`)))
}

// shoot keeps what can be seen as a picture, where go test was given -artifacts.
func (b *tab) shoot(name string) {
	b.t.Helper()
	b.number++
	shot, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	require.NoError(b.t, err)
	file := filepath.Join(b.shots, fmt.Sprintf("%02d-%s.png", b.number, name))
	require.NoError(b.t, os.WriteFile(file, shot, 0o600))
}

// inspect checks what can be seen: that everything to use has a name, the focus is somewhere, texts
// differ enough from what is behind them, what is pressed is large enough for a finger, and the page
// is no wider than the screen.
func (b *tab) inspect(name string) {
	b.t.Helper()
	b.shoot(name)
	tree, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (accessibility.GetFullAXTreeResult, error) {
		return cdp.Call(ctx, t, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	})
	require.NoError(b.t, err)
	used := 0
	for _, node := range tree.Nodes {
		role := text(node.Role)
		if node.Ignored || !slices.Contains([]string{"button", "textbox", "searchbox", "radio", "checkbox", "combobox", "link", "image", "list", "dialog", "navigation", "region", "group"}, role) {
			continue
		}
		used++
		assert.NotEmpty(b.t, text(node.Name), "%s: a %s without a name", name, role)
	}
	assert.Positive(b.t, used, name)
	for _, fault := range script[[]string](b, pageFaults) {
		assert.Fail(b.t, fault, name)
	}
}

func text(value *accessibility.Value) string {
	if value == nil {
		return ""
	}
	return strings.Trim(string(value.Value), `"`)
}

// pageFaults returns what is wrong with what can be seen. The contrast is that of
// https://www.w3.org/TR/WCAG21/#contrast-minimum, the size that of
// https://www.w3.org/TR/WCAG22/#target-size-minimum.
const pageFaults = `(() => {
  const faults = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) faults.push("the page is wider than the screen: " + root.scrollWidth);
  if (document.activeElement === document.body) faults.push("nothing has the focus");
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = channels(color).map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (channels(color)[3] !== 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const seen = (element) => element.checkVisibility() && !element.closest("[aria-busy=true], :disabled");
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!own || !seen(element) || element.closest("noscript")) continue;
    const [light, dark] = [luminance(getComputedStyle(element).color), luminance(behind(element))].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5) faults.push("a contrast of " + ratio.toFixed(2) + ": " + element.textContent.trim());
  }
  for (const element of document.querySelectorAll("button, input, select, textarea")) {
    if (!seen(element)) continue;
    const { width, height } = (element.closest("label") ?? element).getBoundingClientRect();
    if (width < 24 || height < 24) faults.push("too small to press: " + (element.id || element.textContent));
  }
  if (localStorage.length + sessionStorage.length > 0 || document.cookie) faults.push("the browser keeps something");
  return faults;
})()`
