import json, pytest
from tests import factories
pytestmark = pytest.mark.django_db
PU={"code":"c","model":"PER_UNIT","metric":"tokens","terms":{"unit_price":"1"}}
def plan(**k): return {"code":"p","name":"P","currency":"USD","charges":[PU]}|k
CASES=[
 ("POST","/v1/metrics",{"code":"f","name":"F","aggregation":"SUM","filters":[{"property":"a","op":"gt","value":5}]}),
 ("POST","/v1/metrics",{"code":"f","name":"F","aggregation":"SUM","filters":'RAW1.5'}),
 ("POST","/v1/metrics",{"code":"f","name":"F","aggregation":"SUM","filters":[{"property":"a","op":"eq","value":"a\x00b"}]}),
 ("POST","/v1/metrics",{"code":"f","name":"F","aggregation":"SUM","filters":[{"property":"a","op":"in","value":"x"}]}),
 ("POST","/v1/metrics",{"code":"f","name":"F","aggregation":"SUM","filters":[{"property":"a","op":"gt","value":"x"}]}),
 ("POST","/v1/metrics",{"code":"f","name":"F","aggregation":"SUM","filters":[{"property":"a","op":"exists"}]}),
 ("POST","/v1/metrics",{"code":"f","name":"F","aggregation":"SUM","filters":[{"property":"a","op":"eq"}]}),
 ("POST","/v1/metrics",{"code":"f","name":"F","aggregation":"SUM","filters":[{"property":"a","op":"eq","value":{"a":[1]}}]}),
 ("PATCH","/v1/metrics/tokens",{"filters":[{"property":"a","op":"gt","value":5}]}),
 ("PATCH","/v1/metrics/tokens",{"aggregation":"UNIQUE"}),
 ("GET","/v1/metrics/a%00b",None),
 ("GET","/v1/rate-plans/a%00b",None),
 ("GET","/v1/offerings/a%00b",None),
 ("GET","/v1/rate-plans/p/versions/99999999999999999999",None),
 ("GET","/v1/rate-plans/p/diff?from=1&to=99999999999999999999",None),
 ("GET","/v1/rate-plans/p/diff?from=x",None),
 ("POST","/v1/rate-plans",plan(charges=[{**PU,"metrics":[{"metric":"tokens"}]}])),
 ("POST","/v1/rate-plans",plan(charges=[{"code":"c","model":"PER_UNIT","terms":{"unit_price":"1"},"metrics":[{"metric":"tokens"},{"metric":"tokens"}]}])),
 ("POST","/v1/rate-plans",plan(charges=[{"code":"c","model":"PER_UNIT","terms":{"unit_price":"1"},"metrics":[{"metric":"tokens","weight":"12345678901234567890"}]}])),
 ("POST","/v1/rate-plans",plan(grants=[{"kind":"PROMO","metric":"tokens","quantity":"5","ssp_unit_price":"12345678901234567890","recurrence":"ONCE"}])),
 ("POST","/v1/rate-plans",plan(charges=[{**PU,"terms":{"unit_price":"1","x\x00":1}}])),
 ("POST","/v1/rate-plans",plan(charges=[{**PU,"terms":"x"}])),
 ("POST","/v1/rate-plans",plan(charges={"a":1})),
 ("POST","/v1/rate-plans",plan(charges=[5])),
 ("POST","/v1/rate-plans",plan(charges=[])),
 ("POST","/v1/rate-plans",plan(caps={"tokens":"5","a\x00":1})),
 ("POST","/v1/rate-plans",plan(burn_order=[])),
 ("POST","/v1/rate-plans",plan(name="a\x00")),
 ("POST","/v1/rate-plans",plan(charges=[PU]*5000)),
 ("POST","/v1/rate-plans",plan(caps={"to/kens":"5"})),
 ("POST","/v1/offerings",{"code":"o","name":"O","rate_plan":"a\x00","billing_mode":"PREPAID","interval":"MONTH"}),
 ("POST","/v1/coupons",{"code":"o","type":"PERCENT","value":"5","duration":"ONCE","max_redemptions":99999999999}),
 ("POST","/v1/coupons",{"code":"o","type":"PERCENT","value":"5","duration":"ONCE","currency":"USD"}),
 ("POST","/v1/coupons",{"code":"o2","type":"FIXED","value":"5","duration":"REPEATING","currency":"USD"}),
 ("GET","/v1/coupons/o",None),
 ("POST","/v1/rate-plans/nope/versions",{"charges":[PU]}),
 ("POST","/v1/pricing/preview",{"charge":{"code":"c","model":"PERCENTAGE","terms":{"percent":"2.5"}},"quantity":5}),
 ("POST","/v1/pricing/preview",{"charge":PU,"quantity":5,"events":10**30}),
 ("POST","/v1/pricing/preview",{"charge":{"code":"c","model":"FLAT_RATE","terms":{"flat_fee":"2.5"}}}),
 ("POST","/v1/pricing/preview",{"charge":PU,"quantity":"9"*26}),
 ("POST","/v1/pricing/preview",{"charge":{"model":"PER_UNIT","metric":"t","terms":{"unit_price":"1"}},"quantity":1}),
 ("GET","/v1/offerings?status=NO",None),
 ("GET","/v1/metrics?aggregation=a%00",None),
 ("GET","/v1/rate-plans?currency=%00",None),
 ("DELETE","/v1/metrics/tokens",None),
]
def test_probe(api):
    factories.metric()
    api.raise_request_exception=False
    from django.db import transaction, connection
    for m,u,b in CASES:
        raw=json.dumps(b)
        if b and b.get("filters")=='RAW1.5': raw=raw.replace('"RAW1.5"','[{"property":"a","op":"gt","value":1.5}]')
        sid=transaction.savepoint()
        r=getattr(api,m.lower())(u,*( [raw] if b is not None else []),**({"content_type":"application/json"} if b is not None else {}))
        body=r.content.decode()[:230]
        try: transaction.savepoint_rollback(sid)
        except Exception as e: print("!!",e)
        print("\n###" if r.status_code>=500 else "\n", r.status_code,m,u,raw[:150],"->",body)
