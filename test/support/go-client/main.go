// Apache's Go client, for interop tests: one job as JSON in the last argument, its outcome as JSON on the last line. Its
// TypeScript side is ../go-client.ts.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

type Job struct {
	Work, NameServers, Topic, Group, Filter, BrokerName string
	Bodies                                              []string
	Queues, Expected, Failures                          int
}

// Received is a message with what the test compares.
type Received struct {
	Body, Tag, MessageID string
	ReconsumeTimes       int32
}

var job Job

func main() {
	rlog.SetLogLevel("error")
	check(json.Unmarshal([]byte(os.Args[len(os.Args)-1]), &job))
	var outcome any
	switch job.Work {
	case "send":
		outcome = send(1)
	case "batch":
		outcome = send(len(job.Bodies))
	case "push":
		outcome = push()
	case "pull":
		outcome = pull()
	default:
		check(fmt.Errorf("unknown work %q", job.Work))
	}
	line, err := json.Marshal(outcome)
	check(err)
	fmt.Println(string(line))
	os.Exit(0)
}

// send gives the message id of each call.
func send(batchSize int) []string {
	client, err := producer.NewDefaultProducer(
		producer.WithNameServer([]string{job.NameServers}),
		producer.WithGroupName(job.Group),
		producer.WithRetry(0),
	)
	check(err)
	check(client.Start())
	ids := []string{}
	for start := 0; start < len(job.Bodies); start += batchSize {
		var messages []*primitive.Message
		for _, body := range job.Bodies[start : start+batchSize] {
			messages = append(messages, primitive.NewMessage(job.Topic, []byte(body)).WithTag("go").WithKeys([]string{"k-" + body}))
		}
		result, err := client.SendSync(context.Background(), messages...)
		check(err)
		if result.Status != primitive.SendOK {
			check(fmt.Errorf("sent with status %d", result.Status))
		}
		ids = append(ids, result.MsgID)
	}
	check(client.Shutdown())
	return ids
}

func received(message *primitive.MessageExt) Received {
	return Received{string(message.Body), message.GetTags(), message.MsgId, message.ReconsumeTimes}
}

// push consumes until it has received what is expected; the first attempts of each message fail.
func push() []Received {
	client, err := consumer.NewPushConsumer(
		consumer.WithNameServer([]string{job.NameServers}),
		consumer.WithGroupName(job.Group),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
		consumer.WithConsumeMessageBatchMaxSize(1),
		consumer.WithConsumerModel(consumer.Clustering),
	)
	check(err)
	var lock sync.Mutex
	all := []Received{}
	done := make(chan struct{})
	selector := consumer.MessageSelector{Type: consumer.TAG, Expression: job.Filter}
	check(client.Subscribe(job.Topic, selector, func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		if concurrently, ok := primitive.GetConcurrentlyCtx(ctx); ok {
			concurrently.DelayLevelWhenNextConsume = 1
		}
		lock.Lock()
		defer lock.Unlock()
		all = append(all, received(messages[0]))
		if len(all) == job.Expected {
			close(done)
		}
		if int(messages[0].ReconsumeTimes) < job.Failures {
			return consumer.ConsumeRetryLater, nil
		}
		return consumer.ConsumeSuccess, nil
	}))
	check(client.Start())
	select {
	case <-done:
	case <-time.After(60 * time.Second):
		check(fmt.Errorf("received %d of %d messages", len(all), job.Expected))
	}
	time.Sleep(100 * time.Millisecond) // the last one is on its way to being done
	check(client.Shutdown())           // commits
	lock.Lock()
	defer lock.Unlock()
	return all
}

// pull reads every queue from its beginning to its end.
func pull() []Received {
	client, err := consumer.NewPullConsumer(
		consumer.WithNameServer([]string{job.NameServers}),
		consumer.WithGroupName(job.Group),
	)
	check(err)
	check(client.Assign(job.Topic, nil))
	check(client.Start())
	all := []Received{}
	for queueID := 0; queueID < job.Queues; queueID++ {
		queue := &primitive.MessageQueue{Topic: job.Topic, BrokerName: job.BrokerName, QueueId: queueID}
		for offset := int64(0); ; {
			result, err := client.PullFrom(context.Background(), queue, offset, 32)
			check(err)
			for _, message := range result.GetMessageExts() {
				all = append(all, received(message))
			}
			offset = result.NextBeginOffset
			if offset >= result.MaxOffset {
				break
			}
		}
	}
	return all
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
